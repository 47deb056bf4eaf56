# SPDX-License-Identifier: Apache-2.0
"""The credential that the store of s3_server.py takes."""
KEY = "AKIATHEREALONE000000"
SECRET = "the/real+secret/key/of/the/bucket/00000000"
TOKEN = "a-session/token+of-ours=="

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Sends every connection of a governed cgroup to the proxy. One object, so that all programs share
// the maps; one hook family a file. README.md says what runs where and what it closes.
#include "bpf/hooks/create.h"
#include "bpf/hooks/bind.h"
#include "bpf/hooks/connect.h"
#include "bpf/hooks/datagram.h"
#include "bpf/hooks/egress.h"
#include "bpf/hooks/ingress.h"
#include "bpf/hooks/peer.h"
#include "bpf/hooks/sockops.h"

char LICENSE[] SEC("license") = "GPL";

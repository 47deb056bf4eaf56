// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/dns/message.h"

namespace chaperone::wire::dns {

std::string type_text(std::uint16_t type) {
    switch (type) {
    case kA: return "A";
    case kNs: return "NS";
    case kCname: return "CNAME";
    case kSoa: return "SOA";
    case kPtr: return "PTR";
    case kMx: return "MX";
    case kTxt: return "TXT";
    case kAaaa: return "AAAA";
    case kSrv: return "SRV";
    case 35: return "NAPTR";
    case 39: return "DNAME";
    case 43: return "DS";
    case 44: return "SSHFP";
    case 46: return "RRSIG";
    case 47: return "NSEC";
    case 48: return "DNSKEY";
    case 52: return "TLSA";
    case kSvcb: return "SVCB";
    case kHttps: return "HTTPS";
    case kIxfr: return "IXFR";
    case kAxfr: return "AXFR";
    case kAny: return "ANY";
    case 257: return "CAA";
    default: return "TYPE" + std::to_string(type);  // RFC 3597, 5
    }
}

std::string class_text(std::uint16_t value) {
    switch (value) {
    case kIn: return "IN";
    case 3: return "CH";
    case 4: return "HS";
    case 254: return "NONE";
    case 255: return "ANY";
    default: return "CLASS" + std::to_string(value);
    }
}

std::string rcode_text(std::uint16_t rcode) {
    switch (rcode) {
    case kNoError: return "NOERROR";
    case kFormErr: return "FORMERR";
    case kServFail: return "SERVFAIL";
    case kNxDomain: return "NXDOMAIN";
    case kNotImp: return "NOTIMP";
    case kRefused: return "REFUSED";
    case kBadVers: return "BADVERS";
    default: return "RCODE" + std::to_string(rcode);
    }
}

}  // namespace chaperone::wire::dns

// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module that goes wrong as FAKE_TOKEN says: crash, hang or final-try (its token takes
// one more PIN before it locks itself; a login would be its end).
#include <p11-kit-1/p11-kit/pkcs11.h>

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

CK_RV start(void*) {
    const std::string_view how = std::getenv("FAKE_TOKEN");
    if (how == "crash") {
        ::signal(SIGSEGV, SIG_DFL);  // sanitizers have a handler of their own
        ::raise(SIGSEGV);
    }
    if (how == "hang")
        for (;;) ::pause();
    return CKR_OK;
}
CK_RV end(void*) {
    return CKR_OK;
}
CK_RV list_slots(unsigned char, CK_SLOT_ID* slots, CK_ULONG* count) {
    slots[0] = 7;
    *count = 1;
    return CKR_OK;
}
CK_RV describe(CK_SLOT_ID, CK_TOKEN_INFO* info) {
    std::memset(info, ' ', sizeof *info);
    std::memcpy(info->label, "fragile", 7);
    info->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_FINAL_TRY;
    return CKR_OK;
}
CK_RV open(CK_SLOT_ID, CK_FLAGS, void*, CK_NOTIFY, CK_SESSION_HANDLE* session) {
    *session = 1;
    return CKR_OK;
}
CK_RV close(CK_SESSION_HANDLE) {
    return CKR_OK;
}
CK_RV log_in(CK_SESSION_HANDLE, CK_USER_TYPE, unsigned char*, CK_ULONG) {
    std::abort();
}

}  // namespace

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
    static CK_FUNCTION_LIST functions{};
    functions.C_Initialize = start;
    functions.C_Finalize = end;
    functions.C_GetSlotList = list_slots;
    functions.C_GetTokenInfo = describe;
    functions.C_OpenSession = open;
    functions.C_CloseSession = close;
    functions.C_Login = log_in;
    *list = &functions;
    return CKR_OK;
}

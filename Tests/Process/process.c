// The process that runs the Swift tests, before the first of them.
#include <openssl/crypto.h>

#include "process.h"

// As the gateway has it (TLSLibrary.stayUntilTheEnd), and before anything else of OpenSSL's, whichever test comes
// first. Taken apart within `exit`, OpenSSL forgets what it keeps for the threads of the pool that are still there; one
// that ends then leaves it behind, and the leak sanitizer is right to say so.
__attribute__((constructor)) static void keep_openssl(void) { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL); }

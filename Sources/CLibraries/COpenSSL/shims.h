#pragma once
#include <openssl/ssl.h>

// ---- Keys and digests, for GatewayAuth ----
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

// Macros the importer does not follow.
static const int co_public_key = EVP_PKEY_PUBLIC_KEY;
static inline long co_bio_bytes(BIO *bio, const char **start) { return BIO_ctrl(bio, BIO_CTRL_INFO, 0, start); }

// Reads a key without ever asking the terminal for a passphrase: an encrypted key counts as unreadable.
static inline int co_no_passphrase(char *text, int size, int writing, void *context) { return -1; }
static inline EVP_PKEY *co_read_public_key(BIO *bio) { return PEM_read_bio_PUBKEY(bio, NULL, co_no_passphrase, NULL); }
static inline EVP_PKEY *co_read_private_key(BIO *bio) {
    return PEM_read_bio_PrivateKey(bio, NULL, co_no_passphrase, NULL);
}

// The builder keeps the address of each name, so names must be C's own constants and not a caller's temporary.
static inline int co_push_rsa(OSSL_PARAM_BLD *builder, const BIGNUM *modulus, const BIGNUM *exponent) {
    return OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1;
}

// Group and point are kept by address too, until OSSL_PARAM_BLD_to_param copies them.
static inline int co_push_ec(OSSL_PARAM_BLD *builder, const char *group, const void *point, size_t size) {
    return OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, size) == 1;
}

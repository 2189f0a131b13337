#pragma once
// ---- TLS: what Swift cannot import (function-like macros, variadic calls, errno), and nothing that decides anything.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Behind _GNU_SOURCE. Unlike strerror it returns a constant, so any thread may call it.
extern const char *strerrordesc_np(int);
// Likewise. What OpenSSL reads its own variables with: nothing for a program with file capabilities.
extern char *secure_getenv(const char *);

static inline int cossl_last_system_error(void) { return errno; }
static inline int cossl_is_system_error(unsigned long code) { return ERR_SYSTEM_ERROR(code); }

// Names in RFC 4514 order, with control and non-ASCII characters escaped.
static const unsigned long cossl_name_format = XN_FLAG_RFC2253;

static const uint64_t cossl_op_no_compression = SSL_OP_NO_COMPRESSION;
static const uint64_t cossl_op_no_renegotiation = SSL_OP_NO_RENEGOTIATION;
static const uint64_t cossl_op_no_ticket = SSL_OP_NO_TICKET;
static const uint64_t cossl_op_cipher_server_preference = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t cossl_op_ignore_unexpected_eof = SSL_OP_IGNORE_UNEXPECTED_EOF;

static inline void cossl_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
static inline void cossl_set_read_ahead(SSL_CTX *context, int on) { SSL_CTX_set_read_ahead(context, on); }
static inline void cossl_set_session_cache(SSL_CTX *context, long mode) {
    SSL_CTX_set_session_cache_mode(context, mode);
}
static inline int cossl_set_versions(SSL_CTX *context, int lowest, int highest) {
    return SSL_CTX_set_min_proto_version(context, lowest) && SSL_CTX_set_max_proto_version(context, highest);
}
static inline int cossl_set_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}
static inline int cossl_set_signature_algorithms(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_sigalgs_list(context, list);
}
// Whoever answers for ticket keys, one for all contexts between which a session may move.
static inline int cossl_set_ticket_argument(SSL_CTX *context, void *argument) {
    return SSL_CTX_set_app_data(context, argument);
}
static inline void *cossl_ticket_argument(SSL *session) { return SSL_CTX_get_app_data(SSL_get_SSL_CTX(session)); }
static inline int cossl_begin_ticket_mac(EVP_MAC_CTX *mac, void *key, size_t length) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters);
}
static inline long cossl_set_max_certificates(SSL_CTX *context, long bytes) {
    return SSL_CTX_set_max_cert_list(context, bytes);
}
static inline int cossl_share_store(SSL_CTX *context, X509_STORE *store) {
    return (int)SSL_CTX_set1_verify_cert_store(context, store);
}
static inline void cossl_set_server_name_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline int cossl_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}
static inline int cossl_negotiated_group(SSL *session) { return (int)SSL_get_negotiated_group(session); }
static inline EVP_PKEY *cossl_make_p256_key(void) { return EVP_EC_gen("P-256"); }

// Text of an IPv4 (length 4) or IPv6 (length 16) address; NULL for another length.
static inline const char *cossl_address_text(const unsigned char *bytes, int length, char *text, unsigned int room) {
    if (length == 4) return inet_ntop(AF_INET, bytes, text, room);
    if (length == 16) return inet_ntop(AF_INET6, bytes, text, room);
    return NULL;
}
// ---- end of TLS

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

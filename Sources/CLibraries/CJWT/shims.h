#pragma once
#include <jwt.h>
#include <stdlib.h>

// libjwt hands out malloc'ed text and, in this version, nothing to free it with.
static inline void cj_free(void *text) { free(text); }

#pragma once
#include <zlib.h>

// zlib's initialisers are macros, which Swift does not import.
static inline int cz_deflate_init(z_stream *stream, int level, int window_bits, int memory_level) {
    return deflateInit2(stream, level, Z_DEFLATED, window_bits, memory_level, Z_DEFAULT_STRATEGY);
}

static inline int cz_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}

// Starts a new block sequence and keeps the window, for raw deflate data that goes on after a final block.
static inline int cz_inflate_continue(z_stream *stream) { return inflateResetKeep(stream); }

#pragma once
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

// An isal_zstream is 80 KiB of arrays that Swift cannot spell, so it crosses the border as an opaque pointer.
typedef struct {
    struct isal_zstream stream;
    uint8_t *level_memory;
    uint32_t level_memory_size;
    uint32_t level;
} ci_compressor;

static inline void ci_free(void *opaque) {
    ci_compressor *compressor = (ci_compressor *)opaque;
    if (compressor == NULL) return;
    free(compressor->level_memory);
    free(compressor);
}

// Level is ISA-L's own, 0 through 3. NULL when memory is short.
static inline void *ci_make(uint32_t level) {
    static const uint32_t sizes[] = {
        ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
    if (level > ISAL_DEF_MAX_LEVEL) return NULL;
    ci_compressor *compressor = (ci_compressor *)malloc(sizeof(ci_compressor));
    if (compressor == NULL) return NULL;
    compressor->level = level;
    compressor->level_memory_size = sizes[level];
    compressor->level_memory = NULL;
    if (sizes[level] > 0) {
        compressor->level_memory = (uint8_t *)malloc(sizes[level]);
        if (compressor->level_memory == NULL) {
            ci_free(compressor);
            return NULL;
        }
    }
    return compressor;
}

// Compresses all of `input` as raw deflate, ended on a byte boundary by a full flush, with no distance of
// 1 << window_bits or more. Returns the bytes written, or -1 when they did not fit.
static inline int64_t ci_compress(
    void *opaque, uint32_t window_bits, const void *input, uint32_t size, void *output, uint32_t room) {
    ci_compressor *compressor = (ci_compressor *)opaque;
    struct isal_zstream *stream = &compressor->stream;
    isal_deflate_stateless_init(stream);
    stream->level = compressor->level;
    stream->level_buf = compressor->level_memory;
    stream->level_buf_size = compressor->level_memory_size;
    stream->hist_bits = (uint16_t)window_bits;
    stream->flush = FULL_FLUSH;
    stream->end_of_stream = 0;
    stream->next_in = (uint8_t *)input;
    stream->avail_in = size;
    stream->next_out = (uint8_t *)output;
    stream->avail_out = room;
    if (isal_deflate_stateless(stream) != COMP_OK || stream->avail_in != 0) return -1;
    return (int64_t)room - (int64_t)stream->avail_out;
}

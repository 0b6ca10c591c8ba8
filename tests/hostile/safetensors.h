/* Hostile safetensors files and indices, made from a table: each with what is wrong with it and
 * the words its refusal must have. Used by the tests beside it and as seeds for the fuzz targets.
 */
#ifndef REEL_TESTS_HOSTILE_SAFETENSORS_H
#define REEL_TESTS_HOSTILE_SAFETENSORS_H

#include <stdint.h>

#include "reel/reel.h"

typedef struct hostile_case {
    const char *name;
    reel_status status; /* REEL_OK: not hostile at all, and must open */
    const char *reason; /* to be found in the message */
    const char *text;   /* the header or the index; NULL: raw, or made by make */
    int64_t n_data;     /* zero bytes after the header */
    const char *raw;    /* the whole file */
    int64_t n_raw;
    /* Writes the header and returns its length, for what is too long to be written down. */
    int64_t (*make)(char *text);
} hostile_case;

enum { HOSTILE_MAX_TEXT = 1 << 20 };

extern const hostile_case hostile_safetensors[];
extern const int n_hostile_safetensors;
extern const hostile_case hostile_indices[];
extern const int n_hostile_indices;

/* The bytes of a safetensors case in a block of exactly their length (so that ASan sees a read past
 * it); the caller frees it with free. NULL when there is no memory. */
unsigned char *hostile_safetensors_make(const hostile_case *c, int64_t *bytes);

#endif

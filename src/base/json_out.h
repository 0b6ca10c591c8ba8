/* JSON: writing, piece by piece into one growing string.
 *
 * Compact, keys in the order given, numbers so that they read back to the same value. A failure
 * (no memory) sticks: the caller tests once, at the end. Misuse, such as a key outside an object,
 * is a bug of ours and asserted.
 */
#ifndef REEL_BASE_JSON_OUT_H
#define REEL_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "reel/reel.h"

enum { REEL_JSON_OUT_DEPTH = 32 };

/* Plain data, to be held on the stack; fields are touched by json_out.c only. */
typedef struct reel_json_out {
    reel_env *env;
    char *text; /* 0-terminated */
    int64_t bytes;
    int64_t room;
    reel_status status;
    int depth;
    char closing[REEL_JSON_OUT_DEPTH]; /* '}' or ']' */
    bool begun[REEL_JSON_OUT_DEPTH];   /* a comma is needed before the next one */
    bool after_key;
} reel_json_out;

void reel_json_out_init(reel_json_out *out, reel_env *env);
/* Safe on a zeroed struct. */
void reel_json_out_deinit(reel_json_out *out);

/* Each writes one value: an element of the array begun last, or what belongs to the key before. */
void reel_json_out_object_begin(reel_json_out *out);
void reel_json_out_array_begin(reel_json_out *out);
/* Ends the object or array begun last. */
void reel_json_out_end(reel_json_out *out);
void reel_json_out_key(reel_json_out *out, const char *key);
/* text: UTF-8; bytes that are not become U+FFFD, so that what is written can always be read. */
void reel_json_out_string(reel_json_out *out, const char *text);
void reel_json_out_int(reel_json_out *out, int64_t x);
/* The shortest digits that read back to x; NaN and infinities, which JSON has not, as null. */
void reel_json_out_real(reel_json_out *out, double x);
/* The same for the nearest float: 0.7f is 0.7, not 0.699999988. */
void reel_json_out_f32(reel_json_out *out, float x);
void reel_json_out_bool(reel_json_out *out, bool x);
void reel_json_out_null(reel_json_out *out);
/* A value that is JSON already, as this writer made it. */
void reel_json_out_json(reel_json_out *out, const char *json);

/* A key and its value; text NULL: null. */
void reel_json_out_put_string(reel_json_out *out, const char *key, const char *text);
void reel_json_out_put_int(reel_json_out *out, const char *key, int64_t x);
void reel_json_out_put_real(reel_json_out *out, const char *key, double x);

/* True when every byte of text belongs to a UTF-8 sequence (RFC 3629). */
bool reel_utf8_valid(const char *text);

/* The text so far, borrowed until the next call; everything begun must have been ended.
 * REEL_E_NOMEM when any call before failed. */
REEL_MUST_USE reel_status reel_json_out_text(const reel_json_out *out, const char **text,
                                             int64_t *bytes);

#endif

/* Reading the fields of one JSON object with a sticky status, so that a configuration is read as a
 * list of lines. A field that is missing keeps the value it had: the class's default.
 */
#ifndef REEL_ZOO_FIELDS_H
#define REEL_ZOO_FIELDS_H

#include "base/json.h"

enum { REEL_MAX_FIELDS = 64 };

typedef struct reel_fields {
    const reel_json *at;
    reel_status status;
    const char *known[REEL_MAX_FIELDS]; /* every field asked for */
    int n_known;
} reel_fields;

reel_fields reel_fields_begin(const reel_json *at);

/* Each reads a field, if it is there, into *out; NULL for out: only its type and range are looked
 * at. */
void reel_field_int(reel_fields *f, const char *key, int64_t min, int64_t max, int64_t *out);
/* null means 0. */
void reel_field_int_or_null(reel_fields *f, const char *key, int64_t min, int64_t max,
                            int64_t *out);
void reel_field_real(reel_fields *f, const char *key, double min, double max, double *out);
void reel_field_bool(reel_fields *f, const char *key, bool *out);
/* One of n words; *out becomes its index. */
void reel_field_word(reel_fields *f, const char *key, const char *const *words, int n, int *out);
/* A list of 0..max entries; *n its length. null is an empty one. */
void reel_field_ints(reel_fields *f, const char *key, int64_t min, int64_t max, int64_t *out,
                     int most, int64_t *n);
void reel_field_reals(reel_fields *f, const char *key, double *out, int most, int64_t *n);
void reel_field_bools(reel_fields *f, const char *key, bool *out, int most, int64_t *n);

/* Fields that say nothing about the maths of a forward: ended by NULL. */
void reel_fields_harmless(reel_fields *f, const char *const *keys);
/* Fields whose only value reel computes is null, false, 0 or an empty list. why completes "reel
 * does not compute ...". */
void reel_field_absent(reel_fields *f, const char *key, const char *why);

/* Refuses by name every field nobody asked for that is not null, false or private ("_x"). Returns
 * the status of the first failure. */
REEL_MUST_USE reel_status reel_fields_end(reel_fields *f);

#endif

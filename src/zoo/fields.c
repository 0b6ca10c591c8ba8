#include "zoo/fields.h"

#include <string.h>

#include "base/env.h"

reel_fields reel_fields_begin(const reel_json *at) {
    reel_json object;
    return (reel_fields){.at = at, .status = reel_json_object(at, NULL, &object)};
}

static void know(reel_fields *f, const char *key) {
    if (f->n_known < REEL_MAX_FIELDS) f->known[f->n_known++] = key;
}

/* Registers the field; true when it is there to be read. */
static bool given(reel_fields *f, const char *key) {
    know(f, key);
    return f->status == REEL_OK && reel_json_has(f->at, key);
}

/* The value under a key, of whatever type. */
static bool look(const reel_json *at, const char *key, reel_json *value) {
    for (reel_json_entry e = reel_json_first(at); e.key; e = reel_json_next(at, e))
        if (strcmp(e.key, key) == 0) {
            *value = e.value;
            return true;
        }
    return false;
}

void reel_field_int(reel_fields *f, const char *key, int64_t min, int64_t max, int64_t *out) {
    int64_t unused;
    if (given(f, key)) f->status = reel_json_int(f->at, key, min, max, out ? out : &unused);
}

void reel_field_int_or_null(reel_fields *f, const char *key, int64_t min, int64_t max,
                            int64_t *out) {
    int64_t unused;
    if (given(f, key)) f->status = reel_json_int_or(f->at, key, min, max, 0, out ? out : &unused);
}

void reel_field_real(reel_fields *f, const char *key, double min, double max, double *out) {
    double unused;
    if (given(f, key)) f->status = reel_json_real(f->at, key, min, max, out ? out : &unused);
}

void reel_field_bool(reel_fields *f, const char *key, bool *out) {
    bool unused;
    if (given(f, key)) f->status = reel_json_bool(f->at, key, out ? out : &unused);
}

void reel_field_word(reel_fields *f, const char *key, const char *const *words, int n, int *out) {
    if (given(f, key)) f->status = reel_json_choice(f->at, key, words, n, out);
}

/* The list under a key, when there is one with at most `most` entries. */
static bool list(reel_fields *f, const char *key, int most, reel_json *array, int64_t *n) {
    if (!given(f, key)) return false;
    if (reel_json_is_null(f->at, key)) {
        *n = 0;
        return false;
    }
    f->status = reel_json_array(f->at, key, array);
    if (f->status != REEL_OK) return false;
    if (reel_json_count(array) > most)
        f->status = reel_json_fail(array, REEL_E_FORMAT, "wanted at most %d entries, got %lld",
                                   most, (long long)reel_json_count(array));
    if (f->status == REEL_OK) *n = reel_json_count(array);
    return f->status == REEL_OK;
}

void reel_field_ints(reel_fields *f, const char *key, int64_t min, int64_t max, int64_t *out,
                     int most, int64_t *n) {
    reel_json array;
    if (!list(f, key, most, &array, n)) return;
    for (int64_t i = 0; i < *n && f->status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&array, i);
        f->status = reel_json_int(&item, NULL, min, max, &out[i]);
    }
}

void reel_field_reals(reel_fields *f, const char *key, double *out, int most, int64_t *n) {
    reel_json array;
    if (!list(f, key, most, &array, n)) return;
    for (int64_t i = 0; i < *n && f->status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&array, i);
        f->status = reel_json_real(&item, NULL, -1e30, 1e30, &out[i]);
    }
}

void reel_field_bools(reel_fields *f, const char *key, bool *out, int most, int64_t *n) {
    reel_json array;
    if (!list(f, key, most, &array, n)) return;
    for (int64_t i = 0; i < *n && f->status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&array, i);
        f->status = reel_json_bool(&item, NULL, &out[i]);
    }
}

void reel_fields_harmless(reel_fields *f, const char *const *keys) {
    for (; *keys; keys++)
        know(f, *keys);
}

void reel_field_absent(reel_fields *f, const char *key, const char *why) {
    reel_json value;
    know(f, key);
    if (f->status == REEL_OK && look(f->at, key, &value) && !reel_json_is_nothing(&value))
        f->status = reel_json_fail(&value, REEL_E_UNSUPPORTED, "reel does not compute %s", why);
}

reel_status reel_fields_end(reel_fields *f) {
    if (f->status != REEL_OK) return f->status;
    for (reel_json_entry e = reel_json_first(f->at); e.key; e = reel_json_next(f->at, e)) {
        int i = 0;
        while (i < f->n_known && strcmp(f->known[i], e.key) != 0)
            i++;
        if (i < f->n_known || e.key[0] == '_' || reel_json_is_nothing(&e.value)) continue;
        return f->status = reel_json_fail(&e.value, REEL_E_UNSUPPORTED,
                                          "a field reel does not know, which may change what the "
                                          "model computes; remove it if it does not");
    }
    return REEL_OK;
}

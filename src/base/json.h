/* JSON: reading with the key path in every message. Glue on jansson, which no other file names.
 *
 * A document owns the values; a reel_json is a place in it, a small struct on the caller's stack
 * that remembers the place above it, so that a wrong value is reported as
 *     config.json: transformer.layers[3].heads: wanted an integer in [1,1024], got "many"
 * Duplicate keys, invalid UTF-8, NUL characters, integers beyond 64 bits and anything after the
 * value are refused. A document's nesting is limited to 2048 by jansson.
 */
#ifndef REEL_BASE_JSON_H
#define REEL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reel/reel.h"

typedef struct reel_json_doc reel_json_doc;

/* A place in a document. Borrowed from the document and from the place above it: both must live. */
typedef struct reel_json reel_json;
struct reel_json {
    const reel_json_doc *doc;
    const reel_json *parent; /* NULL: the whole document */
    const void *value;       /* jansson's; for json.c only */
    const char *key;         /* within an object; NULL within an array */
    int64_t index;           /* within an array */
};

/* Parses bytes of text (0-terminated or not; name says in messages what it is, and is copied).
 * REEL_E_FORMAT with jansson's reason, line and column. The caller frees *doc. */
REEL_MUST_USE reel_status reel_json_parse(reel_env *env, const char *text, int64_t bytes,
                                          const char *name, reel_json_doc **doc);
/* The same from a file of at most 64 MiB, named by its path. */
REEL_MUST_USE reel_status reel_json_load(reel_env *env, const char *path, reel_json_doc **doc);
/* NULL-safe. */
void reel_json_free(reel_json_doc **doc);

/* The document as a place. */
reel_json reel_json_root(const reel_json_doc *doc);

/* The getters take the value under key in the object `at`, or `at` itself when key is NULL (key is
 * borrowed; it must outlive a place made with it). They
 * fail with REEL_E_FORMAT when at is no object, the key is missing, or the value has another type
 * or is out of range. The _or forms give fallback when the key is missing or null. */
REEL_MUST_USE reel_status reel_json_int(const reel_json *at, const char *key, int64_t min,
                                        int64_t max, int64_t *out);
REEL_MUST_USE reel_status reel_json_int_or(const reel_json *at, const char *key, int64_t min,
                                           int64_t max, int64_t fallback, int64_t *out);
/* Finite numbers, integers included, in [min,max]. */
REEL_MUST_USE reel_status reel_json_real(const reel_json *at, const char *key, double min,
                                         double max, double *out);
REEL_MUST_USE reel_status reel_json_real_or(const reel_json *at, const char *key, double min,
                                            double max, double fallback, double *out);
REEL_MUST_USE reel_status reel_json_bool(const reel_json *at, const char *key, bool *out);
REEL_MUST_USE reel_status reel_json_bool_or(const reel_json *at, const char *key, bool fallback,
                                            bool *out);
/* 0-terminated UTF-8 that lives as long as the document. */
REEL_MUST_USE reel_status reel_json_string(const reel_json *at, const char *key, const char **out);
REEL_MUST_USE reel_status reel_json_string_or(const reel_json *at, const char *key,
                                              const char *fallback, const char **out);
/* One of n words; *out becomes its index. */
REEL_MUST_USE reel_status reel_json_choice(const reel_json *at, const char *key,
                                           const char *const *words, int n, int *out);
/* out->parent becomes `at`, which must outlive out. */
REEL_MUST_USE reel_status reel_json_object(const reel_json *at, const char *key, reel_json *out);
REEL_MUST_USE reel_status reel_json_array(const reel_json *at, const char *key, reel_json *out);

/* True when `at` is an object that has the key, null or not. */
bool reel_json_has(const reel_json *at, const char *key);
/* True when `at` is an object whose key is there and null. */
bool reel_json_is_null(const reel_json *at, const char *key);
/* True for null, false, the number 0, and an empty string, array or object. */
bool reel_json_is_nothing(const reel_json *at);
/* Entries of an object or an array; 0 for anything else. */
int64_t reel_json_count(const reel_json *at);
/* Item i in [0, count) of an array, of any type. */
reel_json reel_json_item(const reel_json *array, int64_t i);

/* Walks an object in the order of the text:
 *     for (reel_json_entry e = reel_json_first(&at); e.key; e = reel_json_next(&at, e)) ... e.value
 */
typedef struct reel_json_entry {
    const char *key; /* NULL past the last one */
    reel_json value;
    void *iterator; /* jansson's */
} reel_json_entry;
reel_json_entry reel_json_first(const reel_json *object);
reel_json_entry reel_json_next(const reel_json *object, reel_json_entry entry);

/* Fails when the object has a key that is none of the n: files whose every word matters. */
REEL_MUST_USE reel_status reel_json_only(const reel_json *object, const char *const *keys, int n);

/* A value as words: a string as it is, a number in digits, true and false, into
 * text (0-terminated). REEL_E_FORMAT for null, an object or an array, or what does not fit. */
REEL_MUST_USE reel_status reel_json_words(const reel_json *at, char *text, int64_t room);

/* The line, from 1, on which a place begins in the text its document was parsed from; of a key that
 * is written with escapes, that of the object it is in. */
int64_t reel_json_line(const reel_json *at, const char *text, int64_t bytes);

/* The environment of the document, and the name messages give it. Borrowed. */
reel_env *reel_json_env(const reel_json *at);
const char *reel_json_name(const reel_json *at);

/* Fails at this place: "name: path: <format...>". For rules the getters do not know. */
reel_status reel_json_fail(const reel_json *at, reel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

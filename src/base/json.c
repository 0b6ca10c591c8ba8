#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/file.h"

/* jansson takes its memory from malloc and not from our allocator: json_set_alloc_funcs is global
 * to the process and its functions get no context, so routing it would need a global environment
 * and would change the allocator under any other user of jansson in the same program. Documents
 * are small and short-lived; what is kept of them is copied into memory of ours. */
struct reel_json_doc {
    reel_env *env;
    json_t *root;
    char *name;
};

static const char tag_json[] = "json";
enum { MAX_FILE_BYTES = 64 << 20, MAX_PATH_TEXT = 512, MAX_SHOWN = 48 };

/* Text from a file, made fit for a message: control characters (terminal escapes among them)
 * become '?', and what is long is cut at a character's boundary. */
static void append_clean(char *out, size_t room, const char *text, size_t max) {
    size_t n = strlen(out);
    size_t i = 0;
    for (; text[i] && i < max && n + 5 < room; i++) {
        const unsigned char c = (unsigned char)text[i];
        out[n++] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    if (text[i] && n + 4 <= room) {
        while (i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) { /* inside a UTF-8 sequence */
            n--;
            i--;
        }
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = '\0';
}

reel_status reel_json_parse(reel_env *env, const char *text, int64_t bytes, const char *name,
                            reel_json_doc **doc) {
    json_error_t error;
    json_t *root =
        json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return reel_fail(env, REEL_E_NOMEM, "%s: no memory for the document", name);
    if (!root) {
        char reason[JSON_ERROR_TEXT_LENGTH] = ""; /* it quotes the document */
        append_clean(reason, sizeof reason, error.text, sizeof reason);
        return reel_fail(env, REEL_E_FORMAT, "%s: line %d, column %d: %s", name, error.line,
                         error.column, reason);
    }
    reel_json_doc *made = reel_alloc(env, sizeof *made, tag_json);
    char *copy = made ? reel_strdup(env, name, tag_json) : NULL;
    if (!copy) {
        reel_free(env, made);
        json_decref(root);
        return REEL_E_NOMEM;
    }
    *made = (reel_json_doc){.env = env, .root = root, .name = copy};
    *doc = made;
    return REEL_OK;
}

reel_status reel_json_load(reel_env *env, const char *path, reel_json_doc **doc) {
    char *text = NULL;
    int64_t bytes = 0;
    reel_status status = reel_file_read(env, path, MAX_FILE_BYTES, &text, &bytes);
    if (status == REEL_OK) status = reel_json_parse(env, text, bytes, path, doc);
    reel_free(env, text);
    return status;
}

void reel_json_free(reel_json_doc **doc) {
    if (!doc || !*doc) return;
    reel_json_doc *dead = *doc;
    *doc = NULL;
    json_decref(dead->root);
    reel_free(dead->env, dead->name);
    reel_free(dead->env, dead);
}

reel_json reel_json_root(const reel_json_doc *doc) {
    return (reel_json){.doc = doc, .value = doc->root};
}

/* ---- messages ---- */

/* "a.b[3].c" of a place; "" for the root. */
static void append_path(char *out, size_t room, const reel_json *at) {
    if (!at->parent) return;
    append_path(out, room, at->parent);
    if (at->key) {
        if (out[0] && strlen(out) + 1 < room) strcat(out, ".");
        append_clean(out, room, at->key, 2 * MAX_SHOWN);
        return;
    }
    const size_t n = strlen(out);
    snprintf(out + n, room - n, "[%lld]", (long long)at->index);
}

/* The value as a reader would recognise it: `"many"`, `-3`, `an array of 4`. */
static void describe(const json_t *value, char *out, size_t room) {
    out[0] = '\0';
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        snprintf(out, room, "an object");
        return;
    case JSON_ARRAY:
        snprintf(out, room, "an array of %zu", json_array_size(value));
        return;
    case JSON_STRING:
        snprintf(out, room, "\"");
        append_clean(out, room - 1, json_string_value(value), MAX_SHOWN);
        strcat(out, "\"");
        return;
    case JSON_INTEGER:
        snprintf(out, room, "%lld", (long long)json_integer_value(value));
        return;
    case JSON_REAL:
        snprintf(out, room, "%.17g", json_real_value(value));
        return;
    case JSON_TRUE:
        snprintf(out, room, "true");
        return;
    case JSON_FALSE:
        snprintf(out, room, "false");
        return;
    case JSON_NULL:
        snprintf(out, room, "null");
        return;
    }
}

reel_status reel_json_fail(const reel_json *at, reel_status status, const char *format, ...) {
    char path[MAX_PATH_TEXT] = "";
    char reason[MAX_PATH_TEXT];
    append_path(path, sizeof path, at);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return reel_fail(at->doc->env, status, "%s: %s%s%s", at->doc->name, path, path[0] ? ": " : "",
                     reason);
}

static reel_status fail_wanted(const reel_json *at, const char *wanted) {
    char got[2 * MAX_SHOWN];
    describe(at->value, got, sizeof got);
    return reel_json_fail(at, REEL_E_FORMAT, "wanted %s, got %s", wanted, got);
}

/* ---- getters ---- */

/* The place of key in at; found->value stays NULL when it is not there. */
static reel_status look(const reel_json *at, const char *key, reel_json *found) {
    *found = key ? (reel_json){.doc = at->doc, .parent = at, .key = key} : *at;
    if (!key) return REEL_OK;
    if (!json_is_object((const json_t *)at->value)) return fail_wanted(at, "an object");
    found->value = json_object_get(at->value, key);
    return REEL_OK;
}

static reel_status need(const reel_json *at, const char *key, reel_json *found) {
    const reel_status status = look(at, key, found);
    if (status != REEL_OK || found->value) return status;
    return reel_json_fail(found, REEL_E_FORMAT, "is missing");
}

/* True when the key is there and not null; *status says whether looking failed. */
static bool given(const reel_json *at, const char *key, reel_status *status) {
    reel_json found;
    *status = look(at, key, &found);
    return *status == REEL_OK && found.value && !json_is_null((const json_t *)found.value);
}

reel_status reel_json_int(const reel_json *at, const char *key, int64_t min, int64_t max,
                          int64_t *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    const json_t *value = found.value;
    const int64_t x = json_integer_value(value);
    if (!json_is_integer(value) || x < min || x > max) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "an integer in [%lld,%lld]", (long long)min,
                 (long long)max);
        return fail_wanted(&found, wanted);
    }
    *out = x;
    return REEL_OK;
}

reel_status reel_json_int_or(const reel_json *at, const char *key, int64_t min, int64_t max,
                             int64_t fallback, int64_t *out) {
    reel_status status;
    if (given(at, key, &status)) return reel_json_int(at, key, min, max, out);
    if (status == REEL_OK) *out = fallback;
    return status;
}

reel_status reel_json_real(const reel_json *at, const char *key, double min, double max,
                           double *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    const json_t *value = found.value;
    const double x = json_number_value(value);
    if (!json_is_number(value) || !(x >= min && x <= max)) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a number in [%g,%g]", min, max);
        return fail_wanted(&found, wanted);
    }
    *out = x;
    return REEL_OK;
}

reel_status reel_json_real_or(const reel_json *at, const char *key, double min, double max,
                              double fallback, double *out) {
    reel_status status;
    if (given(at, key, &status)) return reel_json_real(at, key, min, max, out);
    if (status == REEL_OK) *out = fallback;
    return status;
}

reel_status reel_json_bool(const reel_json *at, const char *key, bool *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    if (!json_is_boolean((const json_t *)found.value)) return fail_wanted(&found, "true or false");
    *out = json_is_true((const json_t *)found.value);
    return REEL_OK;
}

reel_status reel_json_bool_or(const reel_json *at, const char *key, bool fallback, bool *out) {
    reel_status status;
    if (given(at, key, &status)) return reel_json_bool(at, key, out);
    if (status == REEL_OK) *out = fallback;
    return status;
}

reel_status reel_json_string(const reel_json *at, const char *key, const char **out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    if (!json_is_string((const json_t *)found.value)) return fail_wanted(&found, "a string");
    *out = json_string_value(found.value);
    return REEL_OK;
}

reel_status reel_json_string_or(const reel_json *at, const char *key, const char *fallback,
                                const char **out) {
    reel_status status;
    if (given(at, key, &status)) return reel_json_string(at, key, out);
    if (status == REEL_OK) *out = fallback;
    return status;
}

reel_status reel_json_choice(const reel_json *at, const char *key, const char *const *words, int n,
                             int *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    const char *text = json_string_value(found.value);
    char wanted[256] = "one of";
    for (int i = 0; i < n; i++) {
        if (text && strcmp(text, words[i]) == 0) {
            *out = i;
            return REEL_OK;
        }
        const size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, " \"%s\"", words[i]);
    }
    return fail_wanted(&found, wanted);
}

reel_status reel_json_object(const reel_json *at, const char *key, reel_json *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    if (!json_is_object((const json_t *)found.value)) return fail_wanted(&found, "an object");
    *out = found;
    return REEL_OK;
}

reel_status reel_json_array(const reel_json *at, const char *key, reel_json *out) {
    reel_json found;
    const reel_status status = need(at, key, &found);
    if (status != REEL_OK) return status;
    if (!json_is_array((const json_t *)found.value)) return fail_wanted(&found, "an array");
    *out = found;
    return REEL_OK;
}

/* ---- walking ---- */

bool reel_json_has(const reel_json *at, const char *key) {
    return json_object_get(at->value, key) != NULL; /* NULL too when at is no object */
}

bool reel_json_is_null(const reel_json *at, const char *key) {
    return json_is_null(json_object_get(at->value, key));
}

bool reel_json_is_nothing(const reel_json *at) {
    const json_t *value = at->value;
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) == 0;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return reel_json_count(at) == 0;
    default:
        return false;
    }
}

int64_t reel_json_count(const reel_json *at) {
    const json_t *value = at->value;
    return (int64_t)(json_is_array(value) ? json_array_size(value) : json_object_size(value));
}

reel_json reel_json_item(const reel_json *array, int64_t i) {
    return (reel_json){.doc = array->doc,
                       .parent = array,
                       .value = json_array_get(array->value, (size_t)i),
                       .index = i};
}

/* jansson's iterators take a json_t they do not change; the cast is confined to this function. */
static json_t *object_of(const reel_json *at) {
    return (json_t *)(uintptr_t)at->value;
}

static reel_json_entry entry_at(const reel_json *object, void *iterator) {
    if (!iterator) return (reel_json_entry){0};
    const char *key = json_object_iter_key(iterator);
    return (reel_json_entry){.key = key,
                             .value = {.doc = object->doc,
                                       .parent = object,
                                       .value = json_object_iter_value(iterator),
                                       .key = key},
                             .iterator = iterator};
}

reel_json_entry reel_json_first(const reel_json *object) {
    return entry_at(object, json_object_iter(object_of(object)));
}

reel_json_entry reel_json_next(const reel_json *object, reel_json_entry entry) {
    return entry_at(object, json_object_iter_next(object_of(object), entry.iterator));
}

reel_status reel_json_words(const reel_json *at, char *text, int64_t room) {
    const json_t *value = at->value;
    const size_t n = (size_t)room;
    size_t used = n;
    if (json_is_string(value)) {
        used = json_string_length(value);
        if (used < n) memcpy(text, json_string_value(value), used + 1);
    } else if (json_is_integer(value)) {
        used = (size_t)snprintf(text, n, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        used = (size_t)snprintf(text, n, "%.17g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        used = (size_t)snprintf(text, n, "%s", json_is_true(value) ? "true" : "false");
    } else {
        return reel_json_fail(at, REEL_E_FORMAT, "wanted words or a number");
    }
    if (used < n) return REEL_OK;
    return reel_json_fail(at, REEL_E_FORMAT, "has %lld bytes, wanted fewer than %lld",
                          (long long)used, (long long)room);
}

reel_status reel_json_only(const reel_json *object, const char *const *keys, int n) {
    for (reel_json_entry e = reel_json_first(object); e.key; e = reel_json_next(object, e)) {
        bool known = false;
        for (int i = 0; i < n && !known; i++)
            known = strcmp(e.key, keys[i]) == 0;
        if (!known) return reel_json_fail(&e.value, REEL_E_FORMAT, "is not a known key");
    }
    return REEL_OK;
}

reel_env *reel_json_env(const reel_json *at) {
    return at->doc->env;
}

const char *reel_json_name(const reel_json *at) {
    return at->doc->name;
}

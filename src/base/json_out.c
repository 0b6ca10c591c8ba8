#include "base/json_out.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"

void reel_json_out_init(reel_json_out *out, reel_env *env) {
    *out = (reel_json_out){.env = env};
}

void reel_json_out_deinit(reel_json_out *out) {
    if (out->text) reel_free(out->env, out->text);
    *out = (reel_json_out){0};
}

static void append(reel_json_out *out, const char *text, int64_t bytes) {
    if (out->status != REEL_OK) return;
    if (out->bytes + bytes + 1 > out->room) {
        int64_t room = out->room ? 2 * out->room : 256;
        if (room < out->bytes + bytes + 1) room = out->bytes + bytes + 1;
        char *grown = reel_realloc(out->env, out->text, room, "json");
        if (!grown) {
            out->status = REEL_E_NOMEM;
            return;
        }
        out->text = grown;
        out->room = room;
    }
    memcpy(out->text + out->bytes, text, (size_t)bytes);
    out->bytes += bytes;
    out->text[out->bytes] = '\0';
}

/* The comma before a value or a key, where one is needed. */
static void separate(reel_json_out *out) {
    if (out->after_key) {
        out->after_key = false;
        return;
    }
    if (out->depth == 0) return;
    if (out->begun[out->depth - 1]) append(out, ",", 1);
    out->begun[out->depth - 1] = true;
}

static void begin(reel_json_out *out, char opening, char closing) {
    assert(out->depth < REEL_JSON_OUT_DEPTH);
    separate(out);
    append(out, &opening, 1);
    out->closing[out->depth] = closing;
    out->begun[out->depth] = false;
    out->depth++;
}

void reel_json_out_object_begin(reel_json_out *out) {
    begin(out, '{', '}');
}
void reel_json_out_array_begin(reel_json_out *out) {
    begin(out, '[', ']');
}

void reel_json_out_end(reel_json_out *out) {
    assert(out->depth > 0 && !out->after_key);
    out->depth--;
    append(out, &out->closing[out->depth], 1);
}

/* Bytes of the UTF-8 sequence at s, 0 when it is none (RFC 3629: no surrogates, no overlong
 * forms, nothing above U+10FFFF). */
static int sequence_bytes(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    const int n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0; /* a 0 byte ends the loop too */
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return n;
}

bool reel_utf8_valid(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        const int n = sequence_bytes(s);
        if (n == 0) return false;
        s += n;
    }
    return true;
}

static void append_quoted(reel_json_out *out, const char *text) {
    append(out, "\"", 1);
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        static const char short_escape[] = "btn?fr"; /* for 8, 9, 10, 12, 13 */
        char escape[8];
        const int n = sequence_bytes(s);
        if (n == 0) {
            append(out, "\xef\xbf\xbd", 3); /* U+FFFD */
            s++;
            continue;
        }
        if (*s == '"' || *s == '\\')
            append(out, escape, snprintf(escape, sizeof escape, "\\%c", *s));
        else if (*s >= 8 && *s <= 13 && *s != 11)
            append(out, escape, snprintf(escape, sizeof escape, "\\%c", short_escape[*s - 8]));
        else if (*s < 0x20)
            append(out, escape, snprintf(escape, sizeof escape, "\\u%04x", *s));
        else
            append(out, (const char *)s, n);
        s += n;
    }
    append(out, "\"", 1);
}

void reel_json_out_key(reel_json_out *out, const char *key) {
    assert(out->depth > 0 && out->closing[out->depth - 1] == '}' && !out->after_key);
    separate(out);
    append_quoted(out, key);
    append(out, ":", 1);
    out->after_key = true;
}

void reel_json_out_string(reel_json_out *out, const char *text) {
    separate(out);
    append_quoted(out, text);
}

static void append_word(reel_json_out *out, const char *word) {
    separate(out);
    append(out, word, (int64_t)strlen(word));
}

void reel_json_out_int(reel_json_out *out, int64_t x) {
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)x);
    append_word(out, digits);
}

void reel_json_out_real(reel_json_out *out, double x) {
    if (!isfinite(x)) {
        reel_json_out_null(out);
        return;
    }
    char digits[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, x);
        if (strtod(digits, NULL) == x) break;
    }
    /* A host program may have set a locale with a decimal comma. */
    char *comma = strchr(digits, ',');
    if (comma) *comma = '.';
    /* Keep it a real for the reader: 1 is written 1.0. */
    if (!strpbrk(digits, ".e")) strcat(digits, ".0");
    append_word(out, digits);
}

void reel_json_out_f32(reel_json_out *out, float x) {
    char digits[40];
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)x);
        if (strtof(digits, NULL) == x) break;
    }
    reel_json_out_real(out, strtod(digits, NULL));
}

void reel_json_out_bool(reel_json_out *out, bool x) {
    append_word(out, x ? "true" : "false");
}
void reel_json_out_null(reel_json_out *out) {
    append_word(out, "null");
}
void reel_json_out_json(reel_json_out *out, const char *json) {
    append_word(out, json);
}

void reel_json_out_put_string(reel_json_out *out, const char *key, const char *text) {
    reel_json_out_key(out, key);
    if (text)
        reel_json_out_string(out, text);
    else
        reel_json_out_null(out);
}

void reel_json_out_put_int(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}

void reel_json_out_put_real(reel_json_out *out, const char *key, double x) {
    reel_json_out_key(out, key);
    reel_json_out_real(out, x);
}

reel_status reel_json_out_text(const reel_json_out *out, const char **text, int64_t *bytes) {
    if (out->status != REEL_OK) return out->status;
    assert(out->depth == 0 && !out->after_key && out->text);
    *text = out->text;
    *bytes = out->bytes;
    return REEL_OK;
}

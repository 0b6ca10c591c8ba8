#include "world/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that grows by whole pieces, and says when one does not fit. */
typedef struct growing {
    char *text;
    int bytes, used;
    bool full;
} growing;

enum { MORE_BYTES = 6 }; /* ", ..." and its end */

static growing begin(char *text, int bytes) {
    text[0] = '\0';
    return (growing){.text = text, .bytes = bytes};
}

__attribute__((format(printf, 2, 3))) static void put(growing *g, const char *format, ...) {
    char piece[256];
    if (g->full) return;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (n >= (int)sizeof piece || g->used + n + MORE_BYTES > g->bytes) {
        g->full = true;
        snprintf(g->text + g->used, (size_t)(g->bytes - g->used), "%s...", g->used ? ", " : "");
        return;
    }
    memcpy(g->text + g->used, piece, (size_t)n + 1);
    g->used += n;
}

/* "small red metal ball (bounce)" */
static void put_object(growing *g, const reel_attributes *a, int object) {
    static const reel_attribute adjective[] = {REEL_ATTRIBUTE_SIZE, REEL_ATTRIBUTE_COLOR,
                                               REEL_ATTRIBUTE_MATERIAL};
    const int8_t *value = a->object[object];
    const char *between = object ? ", " : "";
    for (size_t i = 0; i < sizeof adjective / sizeof *adjective; i++) {
        if (value[adjective[i]] == REEL_ANY) continue;
        put(g, "%s%s", between, reel_attribute_value_name(adjective[i], value[adjective[i]]));
        between = " ";
    }
    put(g, "%s%s", between,
        value[REEL_ATTRIBUTE_KIND] == REEL_ANY
            ? "something"
            : reel_attribute_value_name(REEL_ATTRIBUTE_KIND, value[REEL_ATTRIBUTE_KIND]));
    if (value[REEL_ATTRIBUTE_MOTION] != REEL_ANY)
        put(g, " (%s)",
            reel_attribute_value_name(REEL_ATTRIBUTE_MOTION, value[REEL_ATTRIBUTE_MOTION]));
}

void reel_reading_understood(const reel_understood *u, char *text, int bytes) {
    growing g = begin(text, bytes);
    for (int i = 0; i < u->attributes.n_objects; i++)
        put_object(&g, &u->attributes, i);
    const char *between = u->attributes.n_objects ? "; " : "";
    for (int k = REEL_OBJECT_ATTRIBUTES; k < REEL_ATTRIBUTE_COUNT; k++) {
        const int value = reel_attributes_get(&u->attributes, (reel_attribute)k, 0);
        if (value == REEL_ANY) continue;
        put(&g, "%s%s %s", between, reel_attribute_name((reel_attribute)k),
            reel_attribute_value_name((reel_attribute)k, value));
        between = ", ";
    }
}

void reel_reading_unknown(const reel_understood *u, const char *prompt, char *text, int bytes) {
    growing g = begin(text, bytes);
    const int kept = u->n_unknown < REEL_UNKNOWN_WORDS ? u->n_unknown : REEL_UNKNOWN_WORDS;
    for (int i = 0; i < kept; i++)
        put(&g, "%s'%.*s'", i ? ", " : "", u->unknown[i].bytes, prompt + u->unknown[i].from);
    if (u->n_unknown > kept) put(&g, " and %d more", u->n_unknown - kept);
}

void reel_reading_kinds(char *text, int bytes) {
    growing g = begin(text, bytes);
    for (int i = 0; i < REEL_KIND_COUNT; i++)
        put(&g, "%s%s", i ? ", " : "", reel_attribute_value_name(REEL_ATTRIBUTE_KIND, i));
}

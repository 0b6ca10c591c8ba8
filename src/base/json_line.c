/* Where in its text a place of a document stands. The text was parsed before, so that nothing here
 * has to be checked: a walk that finds no way stays where it is. */
#include <string.h>

#include "base/json.h"

typedef struct walk {
    const char *at, *end;
} walk;

static void skip_blank(walk *w) {
    while (w->at < w->end && strchr(" \t\r\n", *w->at) && *w->at)
        w->at++;
}

static void skip_string(walk *w) {
    for (w->at++; w->at < w->end && *w->at != '"'; w->at++)
        if (*w->at == '\\') w->at++;
    w->at++;
}

/* A value of any kind. */
static void skip_value(walk *w) {
    int depth = 0;
    do {
        skip_blank(w);
        if (w->at >= w->end) return;
        const char c = *w->at;
        if (c == '"') {
            skip_string(w);
        } else if (strchr("{[", c)) {
            depth++;
            w->at++;
        } else if (strchr("}]", c)) {
            depth--;
            w->at++;
        } else if (strchr(":,", c)) {
            w->at++;
        } else {
            do
                w->at++;
            while (w->at < w->end && !strchr(" \t\r\n,:]}", *w->at));
        }
    } while (depth > 0);
}

/* From a container to its item: from the value of an array's index, or from an object's key. */
static bool enter(walk *w, const reel_json *item) {
    skip_blank(w);
    walk in = *w;
    in.at++;
    for (int64_t i = 0; in.at < in.end; i++) {
        skip_blank(&in);
        if (in.at >= in.end || strchr("}]", *in.at)) return false;
        const char *name = in.at + 1;
        if (item->key) {
            skip_string(&in);
            const size_t n = (size_t)(in.at - 1 - name);
            skip_blank(&in);
            in.at++; /* the colon */
            skip_blank(&in);
            if (strlen(item->key) == n && memcmp(item->key, name, n) == 0) break;
        } else if (i == item->index) {
            break;
        }
        skip_value(&in);
        skip_blank(&in);
        in.at++; /* the comma */
    }
    if (in.at >= in.end) return false;
    *w = in;
    return true;
}

static bool walk_to(walk *w, const reel_json *place) {
    if (!place->parent) return true;
    return walk_to(w, place->parent) && enter(w, place);
}

int64_t reel_json_line(const reel_json *at, const char *text, int64_t bytes) {
    walk w = {.at = text, .end = text + bytes};
    int64_t line = 1;
    (void)walk_to(&w, at);
    skip_blank(&w);
    for (const char *c = text; c < w.at && c < w.end; c++)
        line += *c == '\n';
    return line;
}

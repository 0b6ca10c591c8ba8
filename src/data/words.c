#include "data/words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/json.h"
#include "base/json_out.h"
#include "text/prompt.h"

typedef struct reading {
    reel_env *env;
    reel_arena *arena;
    const char *name;
    reel_words *words;
} reading;

/* ---- keeping ---- */

static reel_status append(reading *r, bool chinese, const char *text) {
    const char *const **list = chinese ? &r->words->chinese : &r->words->english;
    int64_t *n = chinese ? &r->words->n_chinese : &r->words->n_english;
    const char **grown = reel_arena_calloc(r->arena, *n + 1, sizeof *grown);
    if (!grown) return REEL_E_NOMEM;
    for (int64_t i = 0; i < *n; i++)
        grown[i] = (*list)[i];
    grown[*n] = reel_arena_strdup(r->arena, text);
    if (!grown[*n]) return REEL_E_NOMEM;
    *list = grown;
    ++*n;
    return REEL_OK;
}

/* A caption, cleaned; one of blanks alone is none. */
static reel_status keep(reading *r, bool chinese, const char *text, int64_t bytes) {
    char *clean;
    reel_status status = reel_prompt_clean(r->env, text, bytes, &clean, NULL);
    if (status != REEL_OK) return status;
    if (*clean) status = append(r, chinese, clean);
    reel_free(r->env, clean);
    return status;
}

/* ---- text ---- */

static reel_status read_text(reading *r, const char *text, int64_t bytes) {
    reel_status status = REEL_OK;
    for (int64_t from = 0; from < bytes && status == REEL_OK;) {
        const char *end = memchr(text + from, '\n', (size_t)(bytes - from));
        const int64_t to = end ? end - text : bytes;
        status = keep(r, false, text + from, to - from);
        from = to + 1;
    }
    return status;
}

/* ---- JSON ---- */

static reel_status keep_string(reading *r, const reel_json *at, const char *key, bool chinese) {
    const char *text;
    const reel_status status = reel_json_string(at, key, &text);
    return status == REEL_OK ? keep(r, chinese, text, (int64_t)strlen(text)) : status;
}

/* An object of "captions": {"text": ..., "language": ...} */
static reel_status keep_object(reading *r, const reel_json *at, bool chinese) {
    const char *language = "";
    const reel_status status = reel_json_string_or(at, "language", "", &language);
    if (status != REEL_OK) return status;
    return keep_string(r, at, "text", chinese || strncmp(language, "zh", 2) == 0);
}

static reel_status keep_list(reading *r, const reel_json *at, const char *key, bool chinese) {
    reel_json list;
    reel_status status = reel_json_array(at, key, &list);
    for (int64_t i = 0; status == REEL_OK && i < reel_json_count(&list); i++) {
        const reel_json item = reel_json_item(&list, i);
        status = reel_json_has(&item, "text") ? keep_object(r, &item, chinese)
                                              : keep_string(r, &item, NULL, chinese);
    }
    return status;
}

static reel_status read_object(reading *r, const reel_json *at) {
    static const struct {
        const char *key;
        bool list, chinese;
    } known[] = {{"caption", false, false},   {"text", false, false},
                 {"prompt", false, false},    {"captions", true, false},
                 {"caption_zh", false, true}, {"captions_zh", true, true}};
    reel_json object;
    reel_status status = reel_json_object(at, NULL, &object);
    for (size_t i = 0; i < sizeof known / sizeof *known && status == REEL_OK; i++) {
        if (!reel_json_has(&object, known[i].key)) continue;
        status = known[i].list ? keep_list(r, &object, known[i].key, known[i].chinese)
                               : keep_string(r, &object, known[i].key, known[i].chinese);
    }
    return status;
}

static reel_status read_json(reading *r, const char *text, int64_t bytes) {
    reel_json_doc *doc;
    reel_status status = reel_json_parse(r->env, text, bytes, r->name, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = read_object(r, &root);
    reel_json_free(&doc);
    return status;
}

reel_status reel_words_read(reel_env *env, reel_arena *arena, const char *name, const char *text,
                            int64_t bytes, bool json, reel_words *words) {
    reading r = {.env = env, .arena = arena, .name = name, .words = words};
    if (json) return read_json(&r, text, bytes);
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a mark some editors put in front */
        text += 3;
        bytes -= 3;
    }
    char *copy = reel_arena_alloc(arena, bytes + 1); /* as a string, to be checked */
    if (!copy) return REEL_E_NOMEM;
    if (bytes) memcpy(copy, text, (size_t)bytes);
    copy[bytes] = 0;
    if ((int64_t)strlen(copy) != bytes || !reel_utf8_valid(copy))
        return reel_fail(env, REEL_E_FORMAT, "%s: is not text in UTF-8", name);
    return read_text(&r, copy, bytes);
}

void reel_words_pick(const reel_words *w, bool chinese, uint64_t variant, char *text,
                     int64_t room) {
    const bool first = chinese ? w->n_chinese > 0 : w->n_english == 0;
    const char *const *list = first ? w->chinese : w->english;
    const int64_t n = first ? w->n_chinese : w->n_english;
    text[0] = 0;
    if (n == 0) return;
    const char *chosen = list[variant % (uint64_t)n];
    int64_t bytes = (int64_t)strlen(chosen);
    if (bytes >= room) {
        bytes = room - 1;
        while (bytes > 0 && ((unsigned char)chosen[bytes] & 0xc0) == 0x80)
            bytes--;
    }
    memcpy(text, chosen, (size_t)bytes);
    text[bytes] = 0;
}

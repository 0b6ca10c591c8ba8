/* The plain form of a storyboard: lines of "key: words"; what is indented belongs to the shot or
 * title above it. */
#include <stdlib.h>
#include <string.h>

#include "text/storyboard_state.h"

enum { LINE_BYTES = 8192 };

typedef struct plain {
    reel_raw_story *story;
    reel_raw_scene *scene; /* NULL: none yet */
    uint32_t given_film, given_scene;
    int line;
} plain;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks at both ends; text is changed. */
static char *trim(char *text) {
    while (is_blank(*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && is_blank(text[n - 1]))
        text[--n] = '\0';
    return text;
}

/* "at 1.5: words", "at 0 image: file", "at 2 clip: file" */
static reel_status read_card(plain *p, char *key, const char *words) {
    char *rest = trim(key + 2), *kind = rest;
    reel_raw_card *card;
    uint32_t given = 0;
    while (*kind && !is_blank(*kind))
        kind++;
    if (*kind) *kind++ = '\0';
    kind = trim(kind);
    reel_status status = reel_story_add_card(p->story, p->scene, p->line, &card);
    if (status == REEL_OK)
        status = reel_story_set(p->story, REEL_STORY_OF_CARD, card, &given, "at", rest, p->line);
    if (status == REEL_OK)
        status = reel_story_set(p->story, REEL_STORY_OF_CARD, card, &given, *kind ? kind : "text",
                                words, p->line);
    return status;
}

/* A line of the shot or title above it. */
static reel_status read_inner(plain *p, char *key, const char *words) {
    if (!p->scene)
        return reel_story_fail(p->story, p->line,
                               "is indented, but no shot or title stands above it");
    const bool is_title = p->scene->title.text != NULL;
    if (!is_title && strncmp(key, "at", 2) == 0 && is_blank(key[2]))
        return read_card(p, key, words);
    return reel_story_set(p->story, is_title ? REEL_STORY_OF_TITLE : REEL_STORY_OF_SHOT, p->scene,
                          &p->given_scene, key, words, p->line);
}

static reel_status begin_scene(plain *p, bool is_title, const char *words) {
    reel_status status = reel_story_add_scene(p->story, p->line, &p->scene);
    p->given_scene = 0;
    if (status != REEL_OK || (!is_title && !*words)) return status; /* the prompt is a card */
    return reel_story_set(p->story, is_title ? REEL_STORY_OF_TITLE : REEL_STORY_OF_SHOT, p->scene,
                          &p->given_scene, is_title ? "title" : "prompt", words, p->line);
}

static reel_status read_line(plain *p, char *text) {
    const bool is_inner = is_blank(text[0]);
    char *key = trim(text);
    if (!*key || *key == '#') return REEL_OK;
    char *colon = strchr(key, ':');
    if (!colon) return reel_story_fail(p->story, p->line, "got '%.64s', wanted KEY: WORDS", key);
    *colon = '\0';
    const char *words = trim(colon + 1);
    key = trim(key);
    if (is_inner) return read_inner(p, key, words);
    if (*key == '@') return reel_story_add_name(p->story, key + 1, words, p->line);
    if (strcmp(key, "shot") == 0) return begin_scene(p, false, words);
    if (strcmp(key, "title") == 0) return begin_scene(p, true, words);
    return reel_story_set(p->story, REEL_STORY_OF_FILM, p->story, &p->given_film, key, words,
                          p->line);
}

reel_status reel_story_read_plain(reel_raw_story *story) {
    plain p = {.story = story};
    char *line = reel_alloc(story->env, LINE_BYTES, "storyboard");
    reel_status status = line ? REEL_OK : REEL_E_NOMEM;
    const char *at = story->text, *end = story->text + story->bytes;
    while (at < end && status == REEL_OK) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((stop ? stop : end) - at);
        p.line++;
        if (n >= LINE_BYTES) {
            status = reel_story_fail(story, p.line, "has more than %d bytes", LINE_BYTES - 1);
        } else if (memchr(at, '\0', n)) {
            status = reel_story_fail(story, p.line, "has a NUL character: this is no text");
        } else {
            memcpy(line, at, n);
            line[n] = '\0';
            status = read_line(&p, line);
        }
        at = stop ? stop + 1 : end;
    }
    reel_free(story->env, line);
    return status;
}

/* The JSON form of a storyboard: one object, with "names" and "shots" in it. */
#include <string.h>

#include "base/json.h"
#include "text/storyboard_state.h"

enum { WORDS_BYTES = 8192 };

typedef struct form {
    reel_raw_story *story;
    char words[WORDS_BYTES];
} form;

static int line_of(const form *f, const reel_json *at) {
    return (int)reel_json_line(at, f->story->text, f->story->bytes);
}

/* jansson's messages name the path; the line goes in front. */
static reel_status fail_at(const form *f, const reel_json *at, reel_status status) {
    if (status == REEL_E_FORMAT)
        reel_fail_within(f->story->env, "%s:%d", f->story->name, line_of(f, at));
    return status;
}

static reel_status set(form *f, reel_story_place place, void *object, uint32_t *given,
                       const char *key, const reel_json *value) {
    const reel_status status = reel_json_words(value, f->words, sizeof f->words);
    if (status != REEL_OK) return fail_at(f, value, status);
    return reel_story_set(f->story, place, object, given, key, f->words, line_of(f, value));
}

static reel_status read_object(form *f, const reel_json *at, reel_json *object) {
    return fail_at(f, at, reel_json_object(at, NULL, object));
}

static reel_status read_card(form *f, const reel_json *at, reel_raw_scene *scene) {
    reel_raw_card *card;
    reel_json object;
    uint32_t given = 0;
    reel_status status = read_object(f, at, &object);
    if (status == REEL_OK) status = reel_story_add_card(f->story, scene, line_of(f, at), &card);
    if (status != REEL_OK) return status;
    for (reel_json_entry e = reel_json_first(at); e.key && status == REEL_OK;
         e = reel_json_next(at, e))
        status = set(f, REEL_STORY_OF_CARD, card, &given, e.key, &e.value);
    return status;
}

static reel_status read_cards(form *f, const reel_json *at, reel_raw_scene *scene) {
    reel_json list;
    reel_status status = fail_at(f, at, reel_json_array(at, NULL, &list));
    const int64_t n = status == REEL_OK ? reel_json_count(at) : 0;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(at, i);
        status = read_card(f, &item, scene);
    }
    return status;
}

static reel_status read_scene(form *f, const reel_json *at) {
    reel_raw_scene *scene;
    reel_json object;
    uint32_t given = 0;
    reel_status status = read_object(f, at, &object);
    if (status == REEL_OK) status = reel_story_add_scene(f->story, line_of(f, at), &scene);
    if (status != REEL_OK) return status;
    const reel_story_place place =
        reel_json_has(at, "title") ? REEL_STORY_OF_TITLE : REEL_STORY_OF_SHOT;
    for (reel_json_entry e = reel_json_first(at); e.key && status == REEL_OK;
         e = reel_json_next(at, e))
        status = place == REEL_STORY_OF_SHOT && strcmp(e.key, "cards") == 0
                     ? read_cards(f, &e.value, scene)
                     : set(f, place, scene, &given, e.key, &e.value);
    return status;
}

static reel_status read_scenes(form *f, const reel_json *at) {
    reel_json list;
    reel_status status = fail_at(f, at, reel_json_array(at, NULL, &list));
    const int64_t n = status == REEL_OK ? reel_json_count(at) : 0;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(at, i);
        status = read_scene(f, &item);
    }
    return status;
}

static reel_status read_names(form *f, const reel_json *at) {
    reel_json object;
    reel_status status = read_object(f, at, &object);
    if (status != REEL_OK) return status;
    for (reel_json_entry e = reel_json_first(at); e.key && status == REEL_OK;
         e = reel_json_next(at, e)) {
        status = fail_at(f, &e.value, reel_json_words(&e.value, f->words, sizeof f->words));
        if (status == REEL_OK)
            status = reel_story_add_name(f->story, e.key[0] == '@' ? e.key + 1 : e.key, f->words,
                                         line_of(f, &e.value));
    }
    return status;
}

/* A title of the film is its first scene. */
static reel_status read_title(form *f, const reel_json *at) {
    reel_raw_scene *scene;
    uint32_t given = 0;
    const reel_status status = reel_story_add_scene(f->story, line_of(f, at), &scene);
    return status == REEL_OK ? set(f, REEL_STORY_OF_TITLE, scene, &given, "title", at) : status;
}

static reel_status read_film(form *f, const reel_json *root) {
    reel_json object;
    uint32_t given = 0;
    reel_status status = read_object(f, root, &object);
    if (status != REEL_OK) return status;
    for (reel_json_entry e = reel_json_first(root); e.key && status == REEL_OK;
         e = reel_json_next(root, e)) /* first, wherever it stands */
        if (strcmp(e.key, "title") == 0) status = read_title(f, &e.value);
    for (reel_json_entry e = reel_json_first(root); e.key && status == REEL_OK;
         e = reel_json_next(root, e)) {
        if (strcmp(e.key, "title") == 0) continue;
        if (strcmp(e.key, "names") == 0)
            status = read_names(f, &e.value);
        else if (strcmp(e.key, "shots") == 0)
            status = read_scenes(f, &e.value);
        else
            status = set(f, REEL_STORY_OF_FILM, f->story, &given, e.key, &e.value);
    }
    return status;
}

reel_status reel_story_read_json(reel_raw_story *story) {
    reel_json_doc *doc;
    reel_status status = reel_json_parse(story->env, story->text, story->bytes, story->name, &doc);
    if (status != REEL_OK) return status;
    form *f = reel_calloc(story->env, 1, sizeof *f, "storyboard");
    status = f ? REEL_OK : REEL_E_NOMEM;
    if (f) {
        f->story = story;
        const reel_json root = reel_json_root(doc);
        status = read_film(f, &root);
    }
    reel_free(story->env, f);
    reel_json_free(&doc);
    return status;
}

/* What the files of storyboard share: a script as it stands, before names are written out. Included
 * by nobody else.
 */
#ifndef REEL_TEXT_STORYBOARD_STATE_H
#define REEL_TEXT_STORYBOARD_STATE_H

#include "base/env.h"
#include "text/storyboard.h"

/* Words and the line they stand on; text NULL: not given. */
typedef struct reel_story_words {
    const char *text;
    int line;
} reel_story_words;

/* How a scene begins, as words say it: "cut", "continue", "fade 0.5". */
typedef struct reel_story_how {
    reel_story_begin begin;
    double fade_s;
} reel_story_how;

typedef struct reel_raw_card {
    int line;
    double at_s;
    reel_story_words text, image, clip;
} reel_raw_card;

typedef struct reel_raw_scene {
    int line;
    reel_story_words title, prompt;
    double seconds; /* 0: not given */
    int64_t seed;   /* -1: not given */
    int64_t camera; /* index of a move, 0: none is said */
    reel_story_how how;
    reel_raw_card *card; /* [n_cards] */
    int n_cards;
} reel_raw_scene;

typedef struct reel_raw_name {
    const char *name;
    reel_story_words is;
} reel_raw_name;

typedef struct reel_raw_story {
    reel_env *env;
    reel_arena *arena;
    const char *name; /* of the script */
    const char *text;
    int64_t bytes;

    int64_t size[2];
    double fps, seconds, cfg_scale;
    int64_t seed, steps, letterbox;
    reel_story_words style, negative;
    reel_raw_name *names;  /* [n_names] */
    reel_raw_scene *scene; /* [n_scenes] */
    int n_names, n_scenes;
} reel_raw_story;

/* Fails with "NAME:LINE: ...". */
reel_status reel_story_fail(const reel_raw_story *story, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads the script's text into *story, whose first five fields are set. */
REEL_MUST_USE reel_status reel_story_read_json(reel_raw_story *story);
REEL_MUST_USE reel_status reel_story_read_plain(reel_raw_story *story);

/* ---- fields: one table for both forms ---- */

typedef enum reel_story_place {
    REEL_STORY_OF_FILM,
    REEL_STORY_OF_SHOT,
    REEL_STORY_OF_TITLE,
    REEL_STORY_OF_CARD,
} reel_story_place;

/* Sets field `key` of the object (a raw story, scene or card, by place) from words on a line.
 * *given has a bit for each field and refuses the second time. */
REEL_MUST_USE reel_status reel_story_set(reel_raw_story *story, reel_story_place place,
                                         void *object, uint32_t *given, const char *key,
                                         const char *words, int line);

/* New places, with their defaults; REEL_E_FORMAT when there are too many. */
REEL_MUST_USE reel_status reel_story_add_scene(reel_raw_story *story, int line,
                                               reel_raw_scene **scene);
REEL_MUST_USE reel_status reel_story_add_card(reel_raw_story *story, reel_raw_scene *scene,
                                              int line, reel_raw_card **card);
REEL_MUST_USE reel_status reel_story_add_name(reel_raw_story *story, const char *name,
                                              const char *words, int line);

/* What is said of a camera's move: "the camera pans left"; NULL when it is not said. */
const char *reel_story_camera(int64_t move);

/* ---- names ---- */

/* Whether text[0] may stand in a name. */
bool reel_story_is_name(char c);
/* Refuses names that lead back to themselves or to nobody. */
REEL_MUST_USE reel_status reel_story_check_names(const reel_raw_story *story);
/* words with every @name written out; in the arena. */
REEL_MUST_USE reel_status reel_story_write_out(const reel_raw_story *story, reel_story_words words,
                                               const char **text);

#endif

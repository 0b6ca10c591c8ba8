/* Storyboards: the script of a film, read into shots whose prompts are whole.
 *
 * A script is JSON or plain text (docs/storyboard.md has both). Either way it becomes the same
 * list of scenes: titles, and shots with a prompt, a length, and cards, which are words, pictures
 * or clips at times within the shot. Who and what comes back is described once under a name and
 * referred to as @name. Every mistake is reported as FILE:LINE: what was given, what was wanted.
 */
#ifndef REEL_TEXT_STORYBOARD_H
#define REEL_TEXT_STORYBOARD_H

#include <stdbool.h>

#include "base/arena.h"

enum {
    REEL_STORY_BYTES = 256 << 10, /* the longest script */
    REEL_STORY_SCENES = 256,
    REEL_STORY_CARDS = 32, /* of a shot */
    REEL_STORY_NAMES = 128,
    REEL_STORY_PROMPT = 8192,    /* bytes of a prompt, names written out */
    REEL_STORY_SECONDS = 600,    /* of a scene */
    REEL_STORY_LONGEST_FADE = 5, /* seconds of a fade: its frames are held in memory */
};

/* How a scene follows the one before. */
typedef enum reel_story_begin {
    REEL_STORY_CUT,
    REEL_STORY_FADE,     /* the two are mixed for fade_s; the first scene comes out of black */
    REEL_STORY_CONTINUE, /* the shot goes on from the last frames of the shot before */
} reel_story_begin;

typedef enum reel_story_card_kind {
    REEL_STORY_WORDS, /* the prompt from then on */
    REEL_STORY_IMAGE, /* what the frame at that time looks like */
    REEL_STORY_CLIP,  /* what is to be seen from then on, as long as the clip or the shot lasts */
} reel_story_card_kind;

typedef struct reel_story_card {
    int line;
    double at_s; /* from the shot's beginning */
    reel_story_card_kind kind;
    const char *text; /* the prompt, whole; or a path, from the script's own folder */
} reel_story_card;

typedef struct reel_story_scene {
    int line;
    const char *title;  /* words on black; NULL: a shot */
    const char *prompt; /* of a shot, whole: names written out, camera and style added */
    double seconds;
    int64_t seed;
    reel_story_begin begin;
    double fade_s;
    const reel_story_card *card; /* [n_cards], by time */
    int n_cards;
} reel_story_scene;

typedef struct reel_story {
    const char *name;      /* of the script, for messages */
    int64_t width, height; /* 0: the model's own, as the next two */
    double fps;
    int64_t steps;
    double cfg_scale;            /* negative: the model's own */
    const char *negative_prompt; /* NULL: none */
    bool letterbox;
    const reel_story_scene *scene; /* [n_scenes], at least 1 */
    int n_scenes;
} reel_story;

/* Reads a script of which bytes of text are in memory; name is its path, which is what other paths
 * are from. Everything lives in the arena. No file is looked at. REEL_E_FORMAT with file and
 * line. */
REEL_MUST_USE reel_status reel_story_parse(reel_env *env, reel_arena *arena, const char *name,
                                           const char *text, int64_t bytes, reel_story *story);

/* The same of a file; pictures and clips must be there. REEL_E_IO, naming the line, if not. */
REEL_MUST_USE reel_status reel_story_read(reel_env *env, reel_arena *arena, const char *path,
                                          reel_story *story);

#endif

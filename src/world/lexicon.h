/* The words of the world, English and Chinese, and what each of them says. */
#ifndef REEL_WORLD_LEXICON_H
#define REEL_WORLD_LEXICON_H

#include "world/world.h"

/* What a word does: below REEL_ATTRIBUTE_COUNT it gives that attribute a value. */
enum {
    REEL_WORD_FILL = REEL_ATTRIBUTE_COUNT, /* says nothing of its own */
    REEL_WORD_THE,                         /* what follows was named before */
    REEL_WORD_AND,                         /* what follows acts for itself */
    REEL_WORD_ON,                          /* on top, when an object follows */
    REEL_WORD_CAMERA,                      /* the camera is spoken of until the phrase ends */
    REEL_WORD_MOVE,                        /* value: reel_camera_verb */
    REEL_WORD_WAY,                         /* value: reel_camera_way */
    REEL_WORD_STOP,                        /* the sentence ends */
    REEL_WORD_COMMA,                       /* the phrase ends */
};

typedef enum reel_camera_verb {
    REEL_VERB_NONE,
    REEL_VERB_PAN,
    REEL_VERB_TILT,
    REEL_VERB_ZOOM,
    REEL_VERB_DOLLY,
    REEL_VERB_ORBIT,
} reel_camera_verb;

typedef enum reel_camera_way {
    REEL_WAY_NONE,
    REEL_WAY_LEFT,
    REEL_WAY_RIGHT,
    REEL_WAY_UP,
    REEL_WAY_DOWN,
    REEL_WAY_IN,
    REEL_WAY_OUT,
} reel_camera_way;

typedef enum reel_word_place {
    REEL_ANYWHERE,
    REEL_OF_OBJECTS, /* where the camera is not spoken of */
    REEL_OF_CAMERA,
} reel_word_place;

typedef struct reel_word {
    const char *text; /* lower case; words of a phrase are one blank apart */
    int8_t role, value;
    int8_t place; /* reel_word_place */
} reel_word;

/* The longest word that text begins with, or NULL; *bytes is its length in the text. English words
 * end where letters end; case and the number of blanks do not matter. */
const reel_word *reel_lexicon_find(const char *text, int bytes, bool of_camera, int *length);

#endif

/* Understanding a prompt: which of the world's attributes it asks for, and which words it has no
 * idea of.
 *
 * Reads English and Chinese, mixed if need be. What a model of this world cannot draw is reported
 * word for word, so that a prompt outside it is answered honestly instead of with a guess.
 */
#ifndef REEL_WORLD_UNDERSTAND_H
#define REEL_WORLD_UNDERSTAND_H

#include "world/caption.h"

enum {
    REEL_UNKNOWN_WORDS = 16,     /* kept; more are counted */
    REEL_PROMPT_BYTES = 1 << 14, /* what lies beyond is not read */
};

/* A piece of the prompt, in bytes. */
typedef struct reel_prompt_span {
    int from, bytes;
} reel_prompt_span;

typedef struct reel_understood {
    reel_attributes attributes;                   /* REEL_ANY where the prompt does not say */
    reel_mentions mentions;                       /* what it says */
    int n_unknown;                                /* words nobody here knows */
    reel_prompt_span unknown[REEL_UNKNOWN_WORDS]; /* the first of them */
    bool possible;                                /* what was understood can be together */
    char why[96];                                 /* why not, one phrase */
} reel_understood;

/* text: bytes of anything, borrowed; need not end in 0. Any thread. */
void reel_prompt_understand(const char *text, int64_t bytes, reel_understood *understood);

#endif

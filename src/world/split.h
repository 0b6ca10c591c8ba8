/* What is held out from training, all of it in this file pair.
 *
 * 1. Pairs: 12 of the 120 (kind, color) pairs, one of each kind. Training never sees a white rocket
 *    if (rocket, white) is one of them, though it sees rockets and white things: whoever can draw
 * it has composed. The rule is a hash; the table it gives is printed by reel_heldout_pair.
 * 2. Combinations: one in twenty of (kind, color, motion, ground, sky) of object 0, by a hash.
 *    Validation scenes are made of these alone.
 * 3. Prompts: a list of sentences, held out word for word by what they say. Training draws no
 *    scene that one of them describes.
 */
#ifndef REEL_WORLD_SPLIT_H
#define REEL_WORLD_SPLIT_H

#include "world/world.h"

bool reel_heldout_pair(reel_kind kind, reel_color color);

/* attributes with kind, color, motion of object 0, ground and sky given. */
bool reel_heldout_combination(const reel_attributes *attributes);

typedef struct reel_heldout_prompt {
    const char *english, *chinese;
    reel_kind kind; /* of object 0, as color and motion */
    reel_color color;
    reel_motion motion;
    reel_ground ground;
    reel_sky sky;
} reel_heldout_prompt;

/* The list; n prompts. Static storage. */
const reel_heldout_prompt *reel_heldout_prompts(int *n);

/* True when a scene with these attributes (all given) belongs to the split. */
bool reel_split_admits(reel_split split, const reel_attributes *attributes);

/* "train", "validation", "heldout_pairs". Static storage. */
const char *reel_split_name(reel_split split);

#endif

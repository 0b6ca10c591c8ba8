/* How a model is sampled when nothing is said: what its folder says of itself.
 *
 * The object "_reel" of model_index.json, which diffusers passes over. Those who generate read it,
 * training writes it, and tuning hands it on; one table names its keys and their ranges.
 */
#ifndef REEL_ZOO_USUAL_H
#define REEL_ZOO_USUAL_H

#include "base/env.h"
#include "base/json_out.h"

typedef struct reel_usual {
    int64_t width, height, frames; /* of a clip; pixels, frames */
    double fps;
    int64_t steps;
    double cfg_scale;       /* guidance; 1: none */
    double cfg_scale_clips; /* where clips are gone on from (extend, connect, loop); 0: the same */
    double cfg_to;          /* the share of the steps that is guided ends here; 0: 1 */
    double flow_shift;      /* of the noise levels; 0: as the scheduler says */
    int64_t text_length;    /* rows of text the transformer sees */
    double deblock;         /* of pictures (pipeline/deblock.h), in [0,1]; 0: none */
    int64_t anchor;         /* of windows: first frames that every one sees; 0: none */
    double context_noise;   /* of windows: on what they see of the one before, in [0,1] */
    bool world;             /* trained on reel's world alone: it knows no other words */
} reel_usual;

/* Reads what folder's index says over what *usual holds; a folder without index, or without the
 * object, says nothing. REEL_E_FORMAT naming a key that is unknown or out of its range. */
REEL_MUST_USE reel_status reel_usual_read(reel_env *env, const char *folder, reel_usual *usual);

/* The object; what is 0 or false is left out. */
void reel_usual_write(reel_json_out *out, const reel_usual *usual);

#endif

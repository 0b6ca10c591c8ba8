/* The plan of a storyboard: which generations its shots are, and what each of them knows. */
#ifndef REEL_PIPELINE_STORYBOARD_PLAN_H
#define REEL_PIPELINE_STORYBOARD_PLAN_H

#include "text/storyboard.h"

enum { REEL_STORY_KNOWN = REEL_STORY_CARDS };

/* One generation: n frames of a scene, behind `context` frames that are the end of the piece
 * before. */
typedef struct reel_story_piece {
    int line, scene;
    const char *prompt;
    int64_t seed;
    int64_t context, n;
    const reel_keyframe *known; /* [n_known]: frames counted behind the context */
    int n_known;
    const char *path; /* of its file, once it has a name */
} reel_story_piece;

typedef struct reel_story_plan {
    int64_t factor;          /* frames of a latent frame */
    reel_story_piece *piece; /* [n_pieces], in the order of the film */
    int n_pieces;
    int64_t *frames, *fade; /* [n_scenes]: of each scene, and of the fade it begins with */
} reel_story_plan;

/* Plans at a rate. Clips are opened for their lengths. Everything lives in the arena. REEL_E_FORMAT
 * with file and line when times that differ fall into one frame or fades do not fit; REEL_E_ARG,
 * REEL_E_IO and others for clips. */
REEL_MUST_USE reel_status reel_story_plan_make(reel_env *env, reel_arena *arena,
                                               const reel_story *story, double fps, int64_t factor,
                                               reel_story_plan *plan);

/* The frames a model makes at least n of: 1 + factor k. */
int64_t reel_story_frames(const reel_story_plan *plan, int64_t n);

#endif

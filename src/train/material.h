/* Material: what a run trains on, opened by its recipe: the world, or clips of one's own.
 *
 * With data.clips the run folder gets clips.json, which counts what was found and names all that
 * was skipped, and the folder of the cache clips.jsonl, what was seen of each file (data/shots.h).
 */
#ifndef REEL_TRAIN_MATERIAL_H
#define REEL_TRAIN_MATERIAL_H

#include "data/clips.h"
#include "train/run.h"

typedef struct reel_material {
    reel_clips *clips; /* NULL: the world */
    reel_world_source world, held_world;
    reel_source train, held; /* held: kept from training */
} reel_material;

/* The caller closes *material, whatever happened; it must not move while it is open. kind: the
 * job's, for progress. held_bucket: the bucket that held-out clips must have, -1: any.
 * REEL_E_CANCELLED when progress asked to stop; errors as of reel_clips_open. */
REEL_MUST_USE reel_status reel_material_open(reel_env *env, const reel_run_options *options,
                                             const char *kind, int64_t held_bucket,
                                             reel_material *material);
void reel_material_close(reel_material *material);

#endif

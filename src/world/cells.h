/* Cells: where in a clip its objects are, as coarsely as a network sees it.
 *
 * A cell is a box of the clip: `size` by `size` pixels of `frames` frames, but that the first frame
 * is a layer of its own, as causal autoencoders take it.
 */
#ifndef REEL_WORLD_CELLS_H
#define REEL_WORLD_CELLS_H

#include "world/render.h"

typedef struct reel_cells {
    int frames, size; /* that divide F - 1, and W and H */
    int layers;       /* that are wanted: 1 to 1 + (F - 1) / frames */
} reel_cells;

/* out u8 [layers, H / size, W / size]: 1 + the number of the object whose surrounding sphere
 * touches the cell, of several the nearest to the camera, in a layer of several frames the last;
 * else 0. Any thread. */
void reel_scene_cells(const reel_scene *scene, const reel_view *view, const reel_cells *cells,
                      uint8_t *out);

#endif

/* Placement: where pieces of memory lie in one arena, when each is needed only for a while.
 *
 * Largest first, each at the lowest offset that touches no placed piece alive at the same time.
 * The best placement is NP-hard to find; this is "greedy by size" of Pisarchyk & Lee 2020,
 * "Efficient memory management for deep neural net inference".
 */
#ifndef REEL_TAPE_PLACE_H
#define REEL_TAPE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct reel_piece {
    int64_t bytes;       /* > 0 */
    int64_t offset;      /* the result */
    int32_t first, last; /* steps between which it is alive, both included */
    int32_t index;       /* the caller's; breaks ties of size, so that a plan is always the same */
} reel_piece;

/* Sorts pieces [n] and sets their offsets; returns the bytes of the arena. placed [n] is scratch.
 * reuse false: every piece gets memory of its own. */
int64_t reel_place(reel_piece *pieces, int n, reel_piece *placed, bool reuse);

#endif

#include "tape/place.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b) {
    const reel_piece *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The lowest offset at which a piece touches no placed piece that lives at the same time. placed is
 * sorted by offset. */
static int64_t first_fit(const reel_piece *placed, int n, const reel_piece *wanted) {
    int64_t offset = 0;
    for (int i = 0; i < n; i++) {
        const reel_piece *other = &placed[i];
        if (other->last < wanted->first || wanted->last < other->first) continue;
        if (offset + wanted->bytes <= other->offset) break;
        if (other->offset + other->bytes > offset) offset = other->offset + other->bytes;
    }
    return offset;
}

int64_t reel_place(reel_piece *pieces, int n, reel_piece *placed, bool reuse) {
    int64_t end = 0;
    qsort(pieces, (size_t)n, sizeof *pieces, by_size);
    for (int i = 0; i < n; i++) {
        reel_piece *p = &pieces[i];
        p->offset = reuse ? first_fit(placed, i, p) : end;
        if (p->offset + p->bytes > end) end = p->offset + p->bytes;
        int at = i;
        for (; at > 0 && placed[at - 1].offset > p->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = *p;
    }
    return end;
}

/* What the languages of captions share: a growing text, choices by lot, and what to mention. */
#ifndef REEL_WORLD_CAPTION_WRITER_H
#define REEL_WORLD_CAPTION_WRITER_H

#include "world/caption.h"

typedef struct reel_caption_writer {
    char *text;
    int n, room;
    uint64_t variant;
    uint64_t next; /* lots drawn so far */
    const reel_attributes *attributes;
    reel_mentions mentions;
} reel_caption_writer;

/* Appends text. */
void reel_caption_put(reel_caption_writer *w, const char *text);
/* In [0,n), the next lot of the variant. */
int reel_caption_lot(reel_caption_writer *w, int n);
/* One of up to four texts; NULL ends the list. Always draws one lot. */
const char *reel_caption_pick(reel_caption_writer *w, const char *const list[4]);
/* The value of an attribute of object (or of the scene). */
int reel_caption_value(const reel_caption_writer *w, reel_attribute attribute, int object);
/* True when the attribute is to be named. */
bool reel_caption_names(const reel_caption_writer *w, reel_attribute attribute, int object);

void reel_caption_english(reel_caption_writer *w);
void reel_caption_chinese(reel_caption_writer *w);

#endif

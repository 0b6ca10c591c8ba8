/* Mojibake: UTF-8 that was read as Latin-1 or Windows-1252 and written as UTF-8 again ("cafÃ©"). */
#ifndef REEL_TEXT_MOJIBAKE_H
#define REEL_TEXT_MOJIBAKE_H

#include <stdint.h>

/* Repairs n characters of one line in place and returns how many are left. Text is touched only
 * where neighbouring characters betray it, by the rules of ftfy 6 (Speer 2019, "ftfy", its tables
 * badness and chardata) as far as they concern these two code pages; first the line as a whole,
 * then runs of it. Lone C1 control characters become what Windows-1252 has there. Not covered:
 * mixtures with other code pages (1250, 1251, 1253, 1254, MacRoman, cp437), lost bytes, CESU-8.
 * bytes: room for n bytes. */
int64_t reel_mojibake_repair(uint32_t *code, int64_t n, uint8_t *bytes);

#endif

/* UTF-8, one character at a time: what text/ reads and writes. */
#ifndef REEL_TEXT_UNICODE_H
#define REEL_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum { REEL_REPLACEMENT = 0xfffd, REEL_MAX_CODE = 0x10ffff };

/* The character that begins at text, of which bytes (>= 1) are there; *used becomes its length. A
 * malformed sequence gives REEL_REPLACEMENT for its longest well-begun part, at least one byte (the
 * Unicode Standard's recommendation, which browsers and Python follow), and *valid false. valid may
 * be NULL. */
uint32_t reel_utf8_get(const char *text, int64_t bytes, int *used, bool *valid);

/* Writes a character below 0x110000 that is no surrogate; returns its length, 1 to 4. */
int reel_utf8_put(uint32_t code, char out[4]);

/* True for bytes of text that are UTF-8 to the last one. */
bool reel_utf8_sound(const char *text, int64_t bytes);

/* True for a Chinese character: the CJK unified ideographs with their extensions and compatibility
 * forms. */
bool reel_is_han(uint32_t code);

#endif

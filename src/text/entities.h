/* Character references of HTML: "&eacute;", "&#233;", "&#xe9;" as characters. */
#ifndef REEL_TEXT_ENTITIES_H
#define REEL_TEXT_ENTITIES_H

#include <stdbool.h>
#include <stdint.h>

/* Replaces in place the references among n characters; returns how many characters are left. The
 * rules are those of the HTML standard (13.2.5.72 on), as Python's html.unescape has them: numbers
 * that stand for Windows' characters, for nothing, or for no character at all; Latin-1 names that
 * need no semicolon. Known names: all of HTML 4, and those of HTML 5 for what prompts hold (Latin,
 * punctuation, arrows, symbols); the rest, mostly mathematics, stays as it is.
 * closed: only references that end in a semicolon. */
int64_t reel_entities_unescape(uint32_t *code, int64_t n, bool closed);

/* The character Windows' code page 1252 has at a byte in [0x80,0x9f]; the byte itself where it has
 * none. */
uint32_t reel_windows_1252(uint8_t byte);

#endif

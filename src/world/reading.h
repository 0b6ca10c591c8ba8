/* Reading back: what was understood of a prompt, and what was not, in words.
 *
 * For who has to tell a user that a model of this world draws less than the prompt asks for.
 */
#ifndef REEL_WORLD_READING_H
#define REEL_WORLD_READING_H

#include "world/understand.h"

/* Lists what was understood: "small red ball (bounce), house; ground grass, sky sunset". "" when
 * nothing was. What does not fit into bytes becomes "...". */
void reel_reading_understood(const reel_understood *understood, char *text, int bytes);

/* Lists the words nobody here knows, as they stand in the prompt: "'dragon', 'castle'". prompt is
 * the text that was understood. "" when there are none. What does not fit becomes "...". */
void reel_reading_unknown(const reel_understood *understood, const char *prompt, char *text,
                          int bytes);

/* Lists all kinds of objects of the world. */
void reel_reading_kinds(char *text, int bytes);

#endif

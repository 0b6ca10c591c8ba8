#include "text/unicode.h"

/* Bytes a sequence with this lead has, 0 for what leads none. */
static int sequence_length(uint8_t lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0; /* a continuation, or an overlong pair */
    if (lead < 0xe0) return 2;
    if (lead < 0xf0) return 3;
    return lead < 0xf5 ? 4 : 0;
}

/* Whether byte may stand second: this is where overlong forms, surrogates and codes past the last
 * are excluded. */
static bool second_fits(uint8_t lead, uint8_t byte) {
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return byte >= low && byte <= high;
}

uint32_t reel_utf8_get(const char *text, int64_t bytes, int *used, bool *valid) {
    const uint8_t lead = (uint8_t)text[0];
    const int length = sequence_length(lead);
    uint32_t code = length <= 1 ? lead : lead & (0x7fu >> length);
    int n = 1;
    for (; n < length && n < bytes; n++) {
        const uint8_t byte = (uint8_t)text[n];
        if (n == 1 ? !second_fits(lead, byte) : (byte & 0xc0) != 0x80) break;
        code = code << 6 | (byte & 0x3f);
    }
    const bool sound = length > 0 && n == length;
    *used = n;
    if (valid) *valid = sound;
    return sound ? code : REEL_REPLACEMENT;
}

int reel_utf8_put(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)((0xf00 >> length & 0xff) | code);
    return length;
}

bool reel_utf8_sound(const char *text, int64_t bytes) {
    bool valid = true;
    int used = 0;
    for (int64_t i = 0; i < bytes && valid; i += used)
        reel_utf8_get(text + i, bytes - i, &used, &valid);
    return valid;
}

bool reel_is_han(uint32_t code) {
    return (code >= 0x3400 && code <= 0x4dbf) || (code >= 0x4e00 && code <= 0x9fff) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0x20000 && code <= 0x323af);
}

/* The table of hostile files. Each row breaks one rule; a rule has rows on both sides of its edge.
 * Longer than other files because it is a table.
 */
#include "safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A header, or an index, that breaks a rule; one that is valid but not for us; one that is fine.
 * n: zero bytes of data behind it. */
#define BROKEN(n, title, json, words)                                                              \
    { .name = title, .status = REEL_E_FORMAT, .reason = words, .text = json, .n_data = n }
#define LACKING(n, title, json, words)                                                             \
    { .name = title, .status = REEL_E_UNSUPPORTED, .reason = words, .text = json, .n_data = n }
#define GOOD(n, title, json)                                                                       \
    { .name = title, .status = REEL_OK, .reason = "", .text = json, .n_data = n }
/* Made by a function. */
#define MADE(kind, function, n, title, words)                                                      \
    { .name = title, .status = kind, .reason = words, .make = function, .n_data = n }
/* A whole file. sizeof counts the literal's own end, which is not part of it. */
#define RAW(title, bytes, words)                                                                   \
    {                                                                                              \
        .name = title, .status = REEL_E_FORMAT, .reason = words, .raw = bytes,                     \
        .n_raw = sizeof(bytes) - 1                                                                 \
    }

static int64_t repeat(char *text, int64_t n, const char *piece, int times) {
    const size_t length = strlen(piece);
    for (int i = 0; i < times; i++, n += (int64_t)length)
        memcpy(text + n, piece, length);
    return n;
}

static int64_t put(char *text, int64_t n, const char *piece) {
    return repeat(text, n, piece, 1);
}

/* 100000 levels and balanced, so that only the depth is wrong with it. */
static int64_t make_deep_arrays(char *text) {
    int64_t n = put(text, 0, "{\"w\":");
    n = repeat(text, n, "[", 100000);
    n = repeat(text, n, "]", 100000);
    return put(text, n, "}");
}

static int64_t make_deep_objects(char *text) {
    int64_t n = repeat(text, 0, "{\"w\":", 100000);
    n = put(text, n, "1");
    return repeat(text, n, "}", 100000);
}

static int64_t make_long_number(char *text) {
    int64_t n = put(text, 0, "{\"w\":");
    n = repeat(text, n, "9", 100000);
    return put(text, n, "}");
}

static int64_t make_many_keys(char *text) {
    int64_t n = put(text, 0, "{\"w\":{");
    for (int i = 0; i < 60000; i++)
        n += sprintf(text + n, "%s\"k%d\":0", i ? "," : "", i);
    return put(text, n, "}}");
}

static int64_t make_long_dtype(char *text) {
    int64_t n = put(text, 0, "{\"w\":{\"dtype\":\"");
    n = repeat(text, n, "F", 100000);
    return put(text, n, "\",\"shape\":[4],\"data_offsets\":[0,16]}}");
}

static int64_t make_many_axes(char *text) {
    int64_t n = put(text, 0, "{\"w\":{\"dtype\":\"F32\",\"shape\":[4");
    n = repeat(text, n, ",1", 999);
    return put(text, n, "],\"data_offsets\":[0,16]}}");
}

static int64_t make_many_files(char *text) {
    int64_t n = put(text, 0, "{\"weight_map\":{");
    for (int i = 0; i <= 4096; i++)
        n += sprintf(text + n, "%s\"t%d\":\"m-%d.safetensors\"", i ? "," : "", i, i);
    return put(text, n, "}}");
}

const hostile_case hostile_safetensors[] = {
    /* ---- the frame ---- */
    RAW("empty file", "", "0 bytes, a safetensors file begins with 8 bytes"),
    RAW("one byte", "\002", "1 bytes, a safetensors file begins"),
    RAW("seven bytes", "\002\000\000\000\000\000\000", "7 bytes, a safetensors file begins"),
    RAW("length and nothing else", "\000\000\000\000\000\000\000\000",
        "header does not begin with '{'"),
    RAW("length 0 before data", "\000\000\000\000\000\000\000\000abcdefgh",
        "header does not begin with '{'"),
    RAW("length 1", "\001\000\000\000\000\000\000\000{}", "header does not end with '}'"),
    RAW("one byte short of its header", "\002\000\000\000\000\000\000\000{",
        "header length 2, but only 1 bytes follow"),
    RAW("length one too many", "\003\000\000\000\000\000\000\000{}",
        "header length 3, but only 2 bytes follow"),
    RAW("cut within the header", "@\000\000\000\000\000\000\000{\"w\":{\"dtype\":\"F32\",\"sha",
        "header length 64, but only 24 bytes follow"),
    RAW("length at the limit, file short", "\000\341\365\005\000\000\000\000{}",
        "header length 100000000, but only 2 bytes follow"),
    RAW("length above the limit", "\001\341\365\005\000\000\000\000{}",
        "header length 100000001 is above the limit of 100000000"),
    RAW("length 2^31", "\000\000\000\200\000\000\000\000{}",
        "header length 2147483648 is above the limit"),
    RAW("length 2^32", "\000\000\000\000\001\000\000\000{}",
        "header length 4294967296 is above the limit"),
    RAW("length 2^32 + 2, which is 2 in 32 bits", "\002\000\000\000\001\000\000\000{}",
        "header length 4294967298 is above the limit"),
    RAW("length 2^63 - 1", "\377\377\377\377\377\377\377\177{}",
        "header length 9223372036854775807 is above the limit"),
    RAW("length 2^63", "\000\000\000\000\000\000\000\200{}",
        "header length 9223372036854775808 is above the limit"),
    RAW("length 2^64 - 8, whose sum with 8 is 0", "\370\377\377\377\377\377\377\377{}",
        "header length 18446744073709551608 is above the limit"),
    RAW("length 2^64 - 1", "\377\377\377\377\377\377\377\377{}",
        "header length 18446744073709551615 is above the limit"),
    RAW("big-endian length", "\000\000\000\000\000\000\000\002{}", "is above the limit"),
    RAW("a zip archive", "PK\003\004\024\000\000\000\010\000archive/data.pkl",
        "not a safetensors file?"),
    RAW("a GGUF file", "GGUF\003\000\000\000\001\000\000\000\000\000\000\000",
        "not a safetensors file?"),
    RAW("a web page", "<!DOCTYPE html><html></html>", "not a safetensors file?"),
    RAW("a git-lfs pointer", "version https://git-lfs.github.com/spec/v1\n",
        "not a safetensors file?"),
    RAW("JSON without a length", "{\"w\":{\"dtype\":\"F32\"}}", "not a safetensors file?"),
    BROKEN(0, "header begins with a space", " {}", "header does not begin with '{'"),
    BROKEN(0, "header begins with a newline", "\n{}", "header does not begin with '{'"),
    BROKEN(0, "header begins with a byte order mark", "\357\273\277{}",
           "header does not begin with '{'"),
    BROKEN(0, "header is an array", "[]", "header does not begin with '{'"),
    BROKEN(0, "header is a string", "\"{}\"", "header does not begin with '{'"),
    BROKEN(0, "padded with a newline", "{}\n", "padded with spaces only"),
    BROKEN(0, "padded with tabs", "{}\t\t", "padded with spaces only"),
    RAW("padded with zeros", "\010\000\000\000\000\000\000\000{}\000\000\000\000\000\000",
        "padded with spaces only"),
    BROKEN(0, "text after the padding", "{}   x", "padded with spaces only"),
    /* ---- JSON ---- */
    BROKEN(0, "two objects", "{}{}", "end of file expected"),
    BROKEN(0, "not closed", "{\"w\":{}", "'}' expected"),
    BROKEN(0, "key without a value", "{\"w\"}", "':' expected"),
    BROKEN(0, "colon without a value", "{\"w\":}", "unexpected token"),
    BROKEN(0, "comma only", "{,}", "string or '}' expected"),
    BROKEN(16, "trailing comma",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},}", "expected"),
    BROKEN(0, "single quotes", "{'w':1}", "string or '}' expected"),
    BROKEN(0, "key without quotes", "{w:1}", "string or '}' expected"),
    BROKEN(0, "comment", "{/* none */}", "string or '}' expected"),
    BROKEN(0, "NaN", "{\"w\":NaN}", "invalid token near 'NaN'"),
    BROKEN(0, "leading zero", "{\"w\":01}", "invalid token"),
    BROKEN(0, "integer of 2^63", "{\"w\":9223372036854775808}", "too big integer"),
    BROKEN(0, "integer below -2^63", "{\"w\":-9223372036854775809}", "too big negative integer"),
    BROKEN(0, "real that overflows", "{\"w\":1e999}", "real number overflow"),
    BROKEN(16, "name that is not UTF-8",
           "{\"\377\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "unable to decode byte 0xff"),
    BROKEN(16, "overlong UTF-8",
           "{\"\300\257\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "unable to decode byte 0xc0"),
    BROKEN(16, "surrogate in UTF-8",
           "{\"\355\240\200\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "unable to decode byte 0xed"),
    BROKEN(16, "half a surrogate pair",
           "{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "invalid Unicode"),
    BROKEN(16, "NUL escape in a name",
           "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "NUL byte in object key not supported"),
    RAW("NUL byte in the header", "\t\000\000\000\000\000\000\000{\"a\000b\":1}",
        "control character 0x0"),
    BROKEN(0, "newline in a name", "{\"a\nb\":1}", "unexpected newline"),
    BROKEN(0, "control character in a name", "{\"a\001b\":1}", "control character 0x1"),
    MADE(REEL_E_FORMAT, make_deep_arrays, 0, "deep arrays", "maximum parsing depth reached"),
    MADE(REEL_E_FORMAT, make_deep_objects, 0, "deep objects", "maximum parsing depth reached"),
    MADE(REEL_E_FORMAT, make_long_number, 0, "a long number", "too big integer"),
    MADE(REEL_E_FORMAT, make_many_keys, 0, "sixty thousand unknown keys",
         "w.k0: is not a known key"),
    /* ---- duplicate keys ---- */
    BROKEN(16, "tensor twice",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"w\":{\"dtype\":"
           "\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "duplicate object key near '\"w\"'"),
    BROKEN(16, "tensor twice, once escaped",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"\\u0077\":{"
           "\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "duplicate object key"),
    BROKEN(16, "dtype twice",
           "{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "duplicate object key near '\"dtype\"'"),
    BROKEN(16, "shape twice",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[0,16]}}",
           "duplicate object key"),
    BROKEN(
        16, "data_offsets twice",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"data_offsets\":[0,16]}}",
        "duplicate object key"),
    BROKEN(0, "metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}",
           "duplicate object key"),
    BROKEN(0, "metadata key twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}",
           "duplicate object key"),
    /* ---- a tensor's entry ---- */
    BROKEN(16, "entry is null", "{\"w\":null}", "w: wanted an object, got null"),
    BROKEN(16, "entry is 7", "{\"w\":7}", "w: wanted an object, got 7"),
    BROKEN(16, "entry is \"F32\"", "{\"w\":\"F32\"}", "w: wanted an object, got \"F32\""),
    BROKEN(16, "entry is []", "{\"w\":[]}", "w: wanted an object, got an array of 0"),
    BROKEN(16, "entry is true", "{\"w\":true}", "w: wanted an object, got true"),
    BROKEN(16, "empty entry", "{\"w\":{}}", "w.dtype: is missing"),
    BROKEN(16, "no dtype", "{\"w\":{\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w.dtype: is missing"),
    BROKEN(16, "no shape", "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}",
           "w.shape: is missing"),
    BROKEN(16, "no data_offsets", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4]}}",
           "w.data_offsets: is missing"),
    BROKEN(16, "one key too many",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"strides\":[1]}}",
           "w.strides: is not a known key"),
    BROKEN(16, "key in capitals",
           "{\"w\":{\"Dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w.Dtype: is not a known key"),
    BROKEN(0, "terminal escape in a name", "{\"\\u001b[2J\":1}", "?[2J: wanted an object, got 1"),
    /* ---- dtype ---- */
    BROKEN(16, "dtype is a number", "{\"w\":{\"dtype\":32,\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w.dtype: wanted a string, got 32"),
    BROKEN(16, "dtype is null", "{\"w\":{\"dtype\":null,\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w.dtype: wanted a string, got null"),
    BROKEN(16, "dtype is empty", "{\"w\":{\"dtype\":\"\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w: dtype  is not one of the format"),
    BROKEN(16, "dtype in small letters",
           "{\"w\":{\"dtype\":\"f32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "dtype f32 is not one of the format"),
    BROKEN(16, "dtype with a space",
           "{\"w\":{\"dtype\":\"F32 \",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "is not one of the format"),
    BROKEN(16, "dtype of another world",
           "{\"w\":{\"dtype\":\"FLOAT\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "dtype FLOAT is not one of the format"),
    MADE(REEL_E_FORMAT, make_long_dtype, 0, "dtype of 100000 letters", "is not one of the format"),
    LACKING(16, "dtype F64", "{\"w\":{\"dtype\":\"F64\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype F64 is not one that is computed with"),
    LACKING(16, "dtype F8_E4M3",
            "{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype F8_E4M3 is not one that is computed with"),
    LACKING(16, "dtype F8_E5M2",
            "{\"w\":{\"dtype\":\"F8_E5M2\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype F8_E5M2 is not one that is computed with"),
    LACKING(16, "dtype F4", "{\"w\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype F4 is not one that is computed with"),
    LACKING(16, "dtype BOOL", "{\"w\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype BOOL is not one that is computed with"),
    LACKING(16, "dtype I8", "{\"w\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype I8 is not one that is computed with"),
    LACKING(16, "dtype I16", "{\"w\":{\"dtype\":\"I16\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype I16 is not one that is computed with"),
    LACKING(16, "dtype U16", "{\"w\":{\"dtype\":\"U16\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype U16 is not one that is computed with"),
    LACKING(16, "dtype U32", "{\"w\":{\"dtype\":\"U32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype U32 is not one that is computed with"),
    LACKING(16, "dtype U64", "{\"w\":{\"dtype\":\"U64\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype U64 is not one that is computed with"),
    LACKING(16, "dtype C64", "{\"w\":{\"dtype\":\"C64\",\"shape\":[4],\"data_offsets\":[0,16]}}",
            "w: dtype C64 is not one that is computed with"),
    /* ---- shape ---- */
    BROKEN(16, "shape is null",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":null,\"data_offsets\":[0,16]}}",
           "w.shape: wanted an array, got null"),
    BROKEN(16, "shape is {}", "{\"w\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,16]}}",
           "w.shape: wanted an array, got an object"),
    BROKEN(16, "shape is \"[4]\"",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":\"[4]\",\"data_offsets\":[0,16]}}",
           "w.shape: wanted an array, got \"[4]\""),
    BROKEN(16, "shape is 4", "{\"w\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,16]}}",
           "w.shape: wanted an array, got 4"),
    BROKEN(16, "dimension is -1",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got -1"),
    BROKEN(16, "dimension is -9223372036854775808",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[-9223372036854775808],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got -9223372036854775808"),
    BROKEN(16, "dimension is 4.0",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got 4"),
    BROKEN(16, "dimension is 0.5",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[0.5],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got 0.5"),
    BROKEN(16, "dimension is 1e3",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[1e3],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got 1000"),
    BROKEN(16, "dimension is \"4\"",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[\"4\"],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got \"4\""),
    BROKEN(16, "dimension is null",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[null],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got null"),
    BROKEN(16, "dimension is [4]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[[4]],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got an array of 1"),
    BROKEN(16, "dimension is true",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got true"),
    BROKEN(16, "dimension is {}",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,16]}}",
           "w.shape[0]: wanted an integer in [0,9223372036854775807], got an object"),
    BROKEN(16, "second dimension is negative",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4,-1],\"data_offsets\":[0,16]}}",
           "w.shape[1]: wanted an integer in [0,9223372036854775807], got -1"),
    BROKEN(16, "dimension 2^63 - 1",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,16]}}",
           "w.shape: has more elements than can be counted, from axis 0"),
    BROKEN(16, "dimension 2^63",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,16]}}",
           "too big integer"),
    BROKEN(16, "dimension 2^64 + 4, which is 4 in 64 bits",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[18446744073709551620],\"data_offsets\":[0,16]}}",
           "too big integer"),
    BROKEN(0, "product is 2^64, which is 0 in 64 bits",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
           "more elements than can be counted, from axis 1"),
    BROKEN(16, "product is 2^64 + 4 or so",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905,4],\"data_offsets\":[0,16]}}",
           "more elements than can be counted"),
    BROKEN(0, "bytes are 2^64, elements are not",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}",
           "more elements than can be counted"),
    BROKEN(0, "zero hides an overflow",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4611686018427387904],\"data_"
           "offsets\":[0,0]}}",
           "more elements than can be counted"),
    LACKING(16, "seven axes",
            "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}",
            "w: has 7 axes, at most 6"),
    MADE(REEL_E_UNSUPPORTED, make_many_axes, 16, "a thousand axes", "has 1000 axes, at most 6"),
    /* ---- data_offsets ---- */
    BROKEN(16, "offsets are null",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":null}}",
           "w.data_offsets: wanted an array, got null"),
    BROKEN(16, "offsets are {}", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":{}}}",
           "w.data_offsets: wanted an array, got an object"),
    BROKEN(16, "offsets are 16", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":16}}",
           "w.data_offsets: wanted an array, got 16"),
    BROKEN(16, "offsets are \"0,16\"",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":\"0,16\"}}",
           "w.data_offsets: wanted an array, got \"0,16\""),
    BROKEN(16, "offsets are []", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[]}}",
           "w.data_offsets: wanted [begin,end], got 0 numbers"),
    BROKEN(16, "offsets are [16]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16]}}",
           "w.data_offsets: wanted [begin,end], got 1 numbers"),
    BROKEN(16, "offsets are [0,16,32]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16,32]}}",
           "w.data_offsets: wanted [begin,end], got 3 numbers"),
    BROKEN(16, "offsets are [-1,15]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[-1,15]}}",
           "w.data_offsets[0]: wanted an integer in [0,9223372036854775807], got -1"),
    BROKEN(16, "offsets are [0,-16]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,-16]}}",
           "w.data_offsets[1]: wanted an integer in [0,9223372036854775807], got -16"),
    BROKEN(16, "offsets are [0,16.0]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16.0]}}",
           "w.data_offsets[1]: wanted an integer in [0,9223372036854775807], got 16"),
    BROKEN(16, "offsets are [0.0,16]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0.0,16]}}",
           "w.data_offsets[0]: wanted an integer in [0,9223372036854775807], got 0"),
    BROKEN(16, "offsets are [\"0\",16]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[\"0\",16]}}",
           "w.data_offsets[0]: wanted an integer in [0,9223372036854775807], got \"0\""),
    BROKEN(16, "offsets are [null,16]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[null,16]}}",
           "w.data_offsets[0]: wanted an integer in [0,9223372036854775807], got null"),
    BROKEN(16, "offsets are [0,[16]]",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,[16]]}}",
           "w.data_offsets[1]: wanted an integer in [0,9223372036854775807], got an array of 1"),
    BROKEN(16, "begin after end",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}",
           "w.data_offsets: begin 16 is after end 0"),
    BROKEN(16, "end past the data",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,17]}}",
           "w.data_offsets: end 17 is past the end of the data, 16 bytes"),
    BROKEN(8, "data cut short", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w.data_offsets: end 16 is past the end of the data, 8 bytes"),
    BROKEN(0, "data missing", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "end 16 is past the end of the data, 0 bytes"),
    BROKEN(16, "end is 2^63 - 1",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,9223372036854775807]}}",
           "end 9223372036854775807 is past the end"),
    BROKEN(16, "both are 2^63 - 1",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[9223372036854775807,"
           "9223372036854775807]}}",
           "is past the end of the data"),
    BROKEN(16, "end is 2^63",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,9223372036854775808]}}",
           "too big integer"),
    BROKEN(16, "span too short",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,12]}}",
           "w: [4] of F32 takes 16 bytes, data_offsets span 12"),
    BROKEN(16, "span too long", "{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,16]}}",
           "w: [3] of F32 takes 12 bytes, data_offsets span 16"),
    BROKEN(16, "span of another dtype",
           "{\"w\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "w: [4] of BF16 takes 8 bytes, data_offsets span 16"),
    BROKEN(16, "no elements but bytes",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,16]}}",
           "w: [0] of F32 takes 0 bytes, data_offsets span 16"),
    BROKEN(0, "a scalar without bytes",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]}}",
           "w: [] of F32 takes 4 bytes, data_offsets span 0"),
    /* ---- cover ---- */
    BROKEN(20, "hole at the beginning",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[4,20]}}",
           "bytes [0,4) before tensor w belong to no tensor"),
    BROKEN(20, "hole in the middle",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}",
           "bytes [8,12) before tensor b belong to no tensor"),
    BROKEN(20, "hole at the end",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
           "the last 4 bytes belong to no tensor"),
    BROKEN(17, "one byte too many",
           "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "the last 1 bytes belong to no tensor"),
    BROKEN(8, "data without tensors", "{}", "the last 8 bytes belong to no tensor"),
    BROKEN(8, "data with metadata only", "{\"__metadata__\":{\"a\":\"b\"}}",
           "the last 8 bytes belong to no tensor"),
    BROKEN(16, "two tensors in one place",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "overlap at byte 0"),
    BROKEN(16, "overlap by one element",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
           "tensors a and b overlap at byte 8"),
    BROKEN(19, "overlap by one byte",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[2],\"data_offsets\":[11,19]}}",
           "tensors a and b overlap at byte 11"),
    BROKEN(16, "one inside the other",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
           "tensors a and b overlap at byte 4"),
    BROKEN(16, "an empty one inside another",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}}",
           "tensors a and b overlap at byte 8"),
    BROKEN(16, "overlap told in the wrong order",
           "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]},\"a\":{\"dtype\":"
           "\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}",
           "tensors a and b overlap at byte 8"),
    BROKEN(16, "an empty one past a hole",
           "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
           "\"F32\",\"shape\":[0],\"data_offsets\":[16,16]}}",
           "bytes [8,16) before tensor b"),
    /* ---- metadata ---- */
    BROKEN(0, "metadata is null", "{\"__metadata__\":null}",
           "__metadata__: wanted an object, got null"),
    BROKEN(0, "metadata is []", "{\"__metadata__\":[]}",
           "__metadata__: wanted an object, got an array of 0"),
    BROKEN(0, "metadata is \"pt\"", "{\"__metadata__\":\"pt\"}",
           "__metadata__: wanted an object, got \"pt\""),
    BROKEN(0, "metadata is 1", "{\"__metadata__\":1}", "__metadata__: wanted an object, got 1"),
    BROKEN(0, "metadata value is 1", "{\"__metadata__\":{\"format\":1}}",
           "__metadata__.format: wanted a string, got 1"),
    BROKEN(0, "metadata value is null", "{\"__metadata__\":{\"format\":null}}",
           "__metadata__.format: wanted a string, got null"),
    BROKEN(0, "metadata value is true", "{\"__metadata__\":{\"format\":true}}",
           "__metadata__.format: wanted a string, got true"),
    BROKEN(0, "metadata value is {}", "{\"__metadata__\":{\"format\":{}}}",
           "__metadata__.format: wanted a string, got an object"),
    BROKEN(0, "metadata value is [\"x\"]", "{\"__metadata__\":{\"format\":[\"x\"]}}",
           "__metadata__.format: wanted a string, got an array of 1"),
    BROKEN(16, "metadata disguised as a tensor",
           "{\"__metadata__\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
           "__metadata__.shape: wanted a string, got an array of 1"),
    BROKEN(0, "NUL in a metadata value", "{\"__metadata__\":{\"a\":\"\\u0000\"}}",
           "\\u0000 is not allowed"),
    /* ---- not hostile: these must open ---- */
    GOOD(0, "no tensor", "{}"),
    GOOD(0, "padding", "{}      "),
    GOOD(0, "empty metadata", "{\"__metadata__\":{}}"),
    GOOD(4, "scalar", "{\"w\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}"),
    GOOD(16, "six axes",
         "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,4],\"data_offsets\":[0,16]}}"),
    GOOD(16, "empty tensors side by side",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[3,0],\"data_offsets\":[0,0]},\"c\":{\"dtype\":\"F32\",\"shape\":[4],\"data_"
         "offsets\":[0,16]}}"),
    GOOD(16, "empty tensor at the end",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]},\"c\":{\"dtype\":"
         "\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}"),
    GOOD(16, "any order of entries and keys",
         "{\"b\":{\"data_offsets\":[8,16],\"shape\":[2],\"dtype\":\"F32\"},\"a\":{\"dtype\":"
         "\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"),
    GOOD(16, "spaces within",
         "{ \"w\" : { \"dtype\" : \"F32\" , \"shape\" : [ 4 ] , \"data_offsets\" : [ 0 , 16 ] } }"),
    GOOD(16, "an empty name", "{\"\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}"),
    GOOD(16, "escapes in a name",
         "{\"a\\\"\\\\\\u00e9\\ud83c\\udfac\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,"
         "16]}}"),
    GOOD(21, "every dtype",
         "{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[8,12]},\"c\":{\"dtype\":\"I32\",\"shape\":[1],\"data_"
         "offsets\":[12,16]},\"d\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[16,18]},"
         "\"e\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[18,20]},\"f\":{\"dtype\":\"U8\","
         "\"shape\":[1],\"data_offsets\":[20,21]}}"),
};
const int n_hostile_safetensors = sizeof hostile_safetensors / sizeof hostile_safetensors[0];

const hostile_case hostile_indices[] = {
    /* ---- JSON ---- */
    BROKEN(0, "nothing", "", "end of file"),
    BROKEN(0, "an array", "[]", "wanted an object, got an array of 0"),
    BROKEN(0, "a number", "7", "wanted an object, got 7"),
    BROKEN(0, "an empty object", "{}", "weight_map: is missing"),
    BROKEN(0, "text after it", "{\"weight_map\":{}} x", "end of file expected"),
    BROKEN(0, "weight_map twice", "{\"weight_map\":{},\"weight_map\":{}}", "duplicate object key"),
    BROKEN(0, "tensor twice", "{\"weight_map\":{\"w\":\"a.safetensors\",\"w\":\"b.safetensors\"}}",
           "duplicate object key"),
    BROKEN(0, "invalid UTF-8", "{\"weight_map\":{\"\377\":\"a.safetensors\"}}",
           "unable to decode byte 0xff"),
    /* ---- weight_map ---- */
    BROKEN(0, "weight_map is null", "{\"weight_map\":null}",
           "weight_map: wanted an object, got null"),
    BROKEN(0, "weight_map is []", "{\"weight_map\":[]}",
           "weight_map: wanted an object, got an array of 0"),
    BROKEN(0, "weight_map is \"x\"", "{\"weight_map\":\"x\"}",
           "weight_map: wanted an object, got \"x\""),
    BROKEN(0, "weight_map is 3", "{\"weight_map\":3}", "weight_map: wanted an object, got 3"),
    BROKEN(0, "file is null", "{\"weight_map\":{\"w\":null}}",
           "weight_map.w: wanted a string, got null"),
    BROKEN(0, "file is 1", "{\"weight_map\":{\"w\":1}}", "weight_map.w: wanted a string, got 1"),
    BROKEN(0, "file is [\"a.safetensors\"]", "{\"weight_map\":{\"w\":[\"a.safetensors\"]}}",
           "weight_map.w: wanted a string, got an array of 1"),
    BROKEN(0, "file is {}", "{\"weight_map\":{\"w\":{}}}",
           "weight_map.w: wanted a string, got an object"),
    BROKEN(0, "file ../x.safetensors", "{\"weight_map\":{\"w\":\"../x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file ../../etc/passwd", "{\"weight_map\":{\"w\":\"../../etc/passwd\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file /etc/passwd", "{\"weight_map\":{\"w\":\"/etc/passwd\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file /x.safetensors", "{\"weight_map\":{\"w\":\"/x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file a/b.safetensors", "{\"weight_map\":{\"w\":\"a/b.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file ./x.safetensors", "{\"weight_map\":{\"w\":\"./x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file .hidden.safetensors", "{\"weight_map\":{\"w\":\".hidden.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file ..", "{\"weight_map\":{\"w\":\"..\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file .", "{\"weight_map\":{\"w\":\".\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file ..\\x.safetensors", "{\"weight_map\":{\"w\":\"..\\\\x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file C:\\x.safetensors", "{\"weight_map\":{\"w\":\"C:\\\\x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file a/../../x.safetensors", "{\"weight_map\":{\"w\":\"a/../../x.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "slash as an escape", "{\"weight_map\":{\"w\":\"..\\u002fx.safetensors\"}}",
           "wanted the name of a file in the index's folder"),
    BROKEN(0, "file without a name", "{\"weight_map\":{\"w\":\"\"}}",
           "wanted a .safetensors file, got \"\""),
    BROKEN(0, "a pickle", "{\"weight_map\":{\"w\":\"pytorch_model.bin\"}}",
           "wanted a .safetensors file"),
    BROKEN(0, "NUL in the file", "{\"weight_map\":{\"w\":\"x.safetensors\\u0000\"}}",
           "\\u0000 is not allowed"),
    MADE(REEL_E_UNSUPPORTED, make_many_files, 0, "more files than can be",
         "is in one file more than 4096"),
    /* ---- metadata ---- */
    BROKEN(0, "metadata is null", "{\"metadata\":null,\"weight_map\":{}}",
           "metadata: wanted an object, got null"),
    BROKEN(0, "metadata is []", "{\"metadata\":[],\"weight_map\":{}}",
           "metadata: wanted an object, got an array of 0"),
    BROKEN(0, "metadata is 1", "{\"metadata\":1,\"weight_map\":{}}",
           "metadata: wanted an object, got 1"),
    BROKEN(0, "total_size is -1", "{\"metadata\":{\"total_size\":-1},\"weight_map\":{}}",
           "metadata.total_size: wanted a number in [0,4.61169e+18], got -1"),
    BROKEN(0, "total_size is \"24\"", "{\"metadata\":{\"total_size\":\"24\"},\"weight_map\":{}}",
           "metadata.total_size: wanted a number in [0,4.61169e+18], got \"24\""),
    BROKEN(0, "total_size is []", "{\"metadata\":{\"total_size\":[]},\"weight_map\":{}}",
           "metadata.total_size: wanted a number in [0,4.61169e+18], got an array of 0"),
    BROKEN(0, "total_size is 1e300", "{\"metadata\":{\"total_size\":1e300},\"weight_map\":{}}",
           "metadata.total_size: wanted a number in [0,4.61169e+18], got 1"),
    /* ---- not hostile ---- */
    GOOD(0, "no tensors", "{\"weight_map\":{}}"),
    GOOD(0, "a whole index",
         "{\"metadata\":{\"total_size\":24,\"format\":\"pt\"},\"weight_map\":{\"a\":\"m-00001-of-"
         "00002.safetensors\",\"b\":\"m-00002-of-00002.safetensors\"}}"),
    GOOD(0, "total_size as a real or null",
         "{\"metadata\":{\"total_size\":24.0},\"weight_map\":{\"a\":\"m.safetensors\"}}"),
};
const int n_hostile_indices = sizeof hostile_indices / sizeof hostile_indices[0];

unsigned char *hostile_safetensors_make(const hostile_case *c, int64_t *bytes) {
    if (c->raw) {
        unsigned char *file = malloc((size_t)(c->n_raw ? c->n_raw : 1));
        if (file) memcpy(file, c->raw, (size_t)c->n_raw);
        *bytes = c->n_raw;
        return file;
    }
    char *made = c->make ? malloc(HOSTILE_MAX_TEXT) : NULL;
    if (c->make && !made) return NULL;
    const int64_t n = made ? c->make(made) : (int64_t)strlen(c->text);
    const uint64_t length = (uint64_t)n;
    *bytes = 8 + n + c->n_data;
    unsigned char *file = calloc(1, (size_t)*bytes);
    if (file) {
        memcpy(file, &length, 8);
        memcpy(file + 8, made ? made : c->text, (size_t)n);
    }
    free(made);
    return file;
}

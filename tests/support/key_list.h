/* The tensors of a real checkpoint, from a list in tests/zoo/shapes, and files of their shapes.
 *
 * A line of a list is "name shape dtype" with the shape's numbers joined by x and {a-b} in a name
 * standing for each number from a to b. The files made from it have a true header and holes for
 * data: a checkpoint of 60 GB takes a few kilobytes of disk.
 */
#ifndef REEL_TESTS_KEY_LIST_H
#define REEL_TESTS_KEY_LIST_H

#include "tensor/tensor.h"

typedef struct key_entry {
    char name[120];
    reel_dtype dtype;
    reel_shape shape;
} key_entry;

typedef struct key_list {
    key_entry *entry;
    int n, capacity;
} key_list;

/* Reads a list or fails the test. */
void key_list_read(key_list *list, const char *path);
void key_list_add(key_list *list, const char *name, reel_dtype dtype, reel_shape shape);
/* The entry of that name; fails the test when there is none. */
key_entry *key_list_find(key_list *list, const char *name);
/* Takes an entry out. */
void key_list_remove(key_list *list, const char *name);
void key_list_free(key_list *list);

/* Writes a safetensors file of entries [first, end) whose data is a hole: all zeros. */
void key_list_write(const key_list *list, int first, int end, const char *path);

#endif

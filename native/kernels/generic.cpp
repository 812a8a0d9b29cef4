#define LOCALFT_TABLE generic_table
#define LOCALFT_TABLE_NAME "generic"
#define LOCALFT_VECTOR_BYTES 16
#define LOCALFT_TILE_ROWS 4
#include "kernels.inc"

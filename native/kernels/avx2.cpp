#define LOCALFT_TABLE avx2_table
#define LOCALFT_TABLE_NAME "avx2"
#define LOCALFT_VECTOR_BYTES 32
#define LOCALFT_TILE_ROWS 6
#include "kernels.inc"

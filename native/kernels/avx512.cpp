#define LOCALFT_TABLE avx512_table
#define LOCALFT_TABLE_NAME "avx512"
#define LOCALFT_VECTOR_BYTES 64
#define LOCALFT_TILE_ROWS 12
#include "kernels.inc"

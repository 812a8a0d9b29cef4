#define LOCALFT_TABLE avx512vnni_table
#define LOCALFT_TABLE_NAME "avx512vnni"
#define LOCALFT_VECTOR_BYTES 64
#define LOCALFT_TILE_ROWS 12
#include "kernels.inc"

// What the metadata of a model say of its sizes.
#pragma once

#include "localft.h"
#include "model/metadata.h"

namespace localft {

// The sizes of a model; throws where they are out of range, or where the trainer's graph is another than the model's.
Hparams read_hparams(const Metadata & metadata, const std::string & architecture);

} // namespace localft

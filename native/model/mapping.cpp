#include "model/mapping.h"

#include "error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace localft {

Mapping::Mapping(const std::string & path) {
    const int file = open(path.c_str(), O_RDONLY);
    if (file < 0) fail("load", "cannot open \"" + path + "\": " + strerror(errno));
    struct stat info;
    if (fstat(file, &info) == 0 && info.st_size > 0) {
        size_ = (size_t) info.st_size;
        data_ = static_cast<char *>(mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0));
    }
    close(file);
    if (!data_ || data_ == MAP_FAILED) fail("load", "cannot map \"" + path + "\"");
}

Mapping::~Mapping() {
    munmap(data_, size_);
}

} // namespace localft

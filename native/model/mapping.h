#pragma once

#include <cstddef>
#include <string>

namespace localft {

// A read-only mapping of a file.
class Mapping {
public:
    explicit Mapping(const std::string & path);
    ~Mapping();
    Mapping(const Mapping &)             = delete;
    Mapping & operator=(const Mapping &) = delete;

    char * data() const { return data_; }
    size_t size() const { return size_; }

private:
    char * data_ = nullptr;
    size_t size_ = 0;
};

} // namespace localft

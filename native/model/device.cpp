#include "model/device.h"

#include "error.h"

namespace localft {

std::vector<DeviceInfo> devices() {
    std::vector<DeviceInfo> all;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        DeviceInfo         info{ ggml_backend_dev_name(dev), ggml_backend_dev_description(dev), "accel", 0, 0 };
        ggml_backend_dev_memory(dev, &info.memory_free, &info.memory_total);
        switch (ggml_backend_dev_type(dev)) {
            case GGML_BACKEND_DEVICE_TYPE_CPU: info.kind = "cpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_GPU: info.kind = "gpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_IGPU: info.kind = "igpu"; break;
            default: break;
        }
        all.push_back(info);
    }
    return all;
}

ggml_backend_dev_t find_device(const std::string & name) {
    if (name.empty()) return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_dev_t dev = ggml_backend_dev_by_name(name.c_str());
    std::string        known;
    for (const DeviceInfo & info : devices()) known += (known.empty() ? "" : ", ") + info.name;
    if (!dev) fail("load", "there is no device \"" + name + "\" (there is: " + known + ")");
    if (ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_ACCEL) fail("load", "device \"" + name + "\" holds no weights of its own");
    return dev;
}

} // namespace localft

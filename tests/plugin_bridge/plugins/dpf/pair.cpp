// A VST3 file that holds several plug-ins: its factory counts those of the modules that lie beside it.
#include "travesty/factory.h"

#include <cstring>
#include <dlfcn.h>
#include <string>

namespace {

struct Factory {
    v3_funknown unknown;
    v3_plugin_factory classes;
};

const char *const MODULES[] = {"FaultyGain.so", "FaultyQuad.so"};
Factory **inside[2];

v3_result query(void *self, const v3_tuid wanted, void **found) {
    if (v3_tuid_match(wanted, v3_funknown_iid) || v3_tuid_match(wanted, v3_plugin_factory_iid)) {
        *found = self;
        return V3_OK;
    }
    *found = nullptr;
    return V3_NO_INTERFACE;
}

uint32_t count_references(void *) { return 1; }

v3_result information(void *, v3_factory_info *about) {
    return (*inside[0])->classes.get_factory_info(inside[0], about);
}

int32_t count(void *) {
    int32_t all = 0;
    for (Factory **one : inside)
        all += (*one)->classes.num_classes(one);
    return all;
}

v3_result about(void *, int32_t index, v3_class_info *information) {
    for (Factory **one : inside) {
        const int32_t here = (*one)->classes.num_classes(one);
        if (index < here) {
            const v3_result result = (*one)->classes.get_class_info(one, index, information);
            if (one == inside[1])
                std::strcpy(information->name, "Faulty Quad");
            return result;
        }
        index -= here;
    }
    return V3_INVALID_ARG;
}

v3_result create(void *, const v3_tuid class_id, const v3_tuid wanted, void **made) {
    for (Factory **one : inside)
        if ((*one)->classes.create_instance(one, class_id, wanted, made) == V3_OK)
            return V3_OK;
    return V3_NO_INTERFACE;
}

Factory table = {{query, count_references, count_references}, {information, count, about, create}};
Factory *self = &table;

} // namespace

extern "C" {

__attribute__((visibility("default"))) bool ModuleEntry(void *handle) {
    Dl_info here;
    dladdr(reinterpret_cast<void *>(&ModuleEntry), &here);
    const std::string path(here.dli_fname);
    for (int number = 0; number < 2; ++number) {
        const std::string beside = path.substr(0, path.rfind('/') + 1) + MODULES[number];
        void *module = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (module == nullptr)
            return false;
        reinterpret_cast<bool (*)(void *)>(dlsym(module, "ModuleEntry"))(handle);
        inside[number] = reinterpret_cast<Factory **(*)()>(dlsym(module, "GetPluginFactory"))();
    }
    return true;
}

__attribute__((visibility("default"))) bool ModuleExit() { return true; }

__attribute__((visibility("default"))) const void *GetPluginFactory() { return &self; }
}

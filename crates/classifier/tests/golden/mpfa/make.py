"""MPFA's Eqs. 9 and 10, densely, for every row of every class below the largest, under one switch after the other.

Written from the equations: prototypes scaled to r_k, Tukey with the former norm, neighbours, weights, mean and covariance.
"""
import json
import numpy as np

rng = np.random.RandomState(7)
K, d = 5, 4
counts = np.array([26, 21, 8, 3, 1])
y = np.repeat(np.arange(K), counts)
centers = rng.rand(K, d) * 2
raw = np.abs(rng.randn(len(y), d) * 0.3 + centers[y])
protos = centers / np.linalg.norm(centers, axis=1, keepdims=True) + rng.randn(K, d) * 0.1
protos[3, 2] = -0.05  # so that clamping has something to do
unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
DEFAULT = dict(proto_scale="class_norm", proto_clamp=True, cov_center="proto", cov_space="raw", tukey=0.9, tukey_renorm=True,
               feat_norm="l2", neighbor_rule="cos_larger", neighbors=3, weights="softmax", beta_mode="rel_diag", beta=0.05, alpha=0.4)


def run(**changes):
    s = {**DEFAULT, **changes}
    z = unit(raw) if s["feat_norm"] == "l2" else raw
    t = z ** s["tukey"]
    if s["tukey_renorm"]:
        t = unit(t) * np.linalg.norm(z, axis=1, keepdims=True)
    own = np.array([np.linalg.norm(z[y == k].mean(0)) for k in range(K)])
    median = np.median(own[counts >= 20])
    r = {"class_norm": np.where(counts >= 20, own, median), "unit": np.ones(K), "head_median": np.full(K, median)}[s["proto_scale"]]
    c = np.maximum(protos, 0) if s["proto_clamp"] else protos
    c = unit(c) * r[:, None]
    space = t if s["cov_space"] == "tukey" else z
    covs, traces = [], []
    for k in range(K):
        about = c[k] if s["cov_center"] == "proto" else space[y == k].mean(0)
        a = (space[y == k] - about) / np.sqrt(max(counts[k] - 1, 1))
        covs.append(a.T @ a)
    covs = np.stack(covs)
    head = np.argsort(-counts, kind="stable")[: -(-K // 3)]  # no class above 100 here: the largest third
    beta_eye, beta_all = {"rel_diag": (s["beta"] * np.mean([np.trace(covs[k]) for k in head]) / d, 0.0),
                          "abs_diag": (s["beta"], 0.0), "abs_all": (0.0, s["beta"])}[s["beta_mode"]]
    cos = unit(t) @ unit(c).T
    rows = np.flatnonzero(y > 0)
    near, omega, mean, cov = [], [], [], []
    for i in rows:
        k = y[i]
        if s["neighbor_rule"] == "cos_larger":
            cand = [j for j in range(K) if counts[j] > counts[k]]
            best = sorted(cand, key=lambda j: -cos[i, j])[: s["neighbors"]]
        else:
            best = sorted(range(K), key=lambda j: ((t[i] - c[j]) ** 2).sum())[: s["neighbors"]]
        a = np.exp(cos[i, best]); a /= a.sum()
        w = {"softmax": a, "softmax_over_m": a / len(best), "uniform": np.full(len(best), 1 / len(best))}[s["weights"]]
        al = s["alpha"]
        near.append(best + [-1] * (s["neighbors"] - len(best)))
        omega.append(list(w) + [0.0] * (s["neighbors"] - len(best)))
        mean.append((1 - al) * t[i] + al * w @ c[best])
        cov.append((1 - al) ** 2 * covs[k] + al ** 2 * np.tensordot(w, covs[best], 1) + beta_eye * np.eye(d) + beta_all)
    short = lambda a: [float("%.8g" % v) for v in np.asarray(a).ravel()]
    return {"settings": s, "norms": short(r), "prototypes": short(c), "beta_diagonal": beta_eye, "beta_all": beta_all,
            "rows": rows.tolist(), "nearest": np.array(near).ravel().tolist(), "weights": short(omega), "mean": short(mean), "cov": short(cov)}


cases = [run(), run(weights="softmax_over_m"), run(weights="uniform"), run(neighbor_rule="l2_all", neighbors=2),
         run(beta_mode="abs_diag"), run(beta_mode="abs_all", alpha=0.2), run(cov_center="mean", cov_space="tukey", tukey=0.5),
         run(proto_scale="unit", proto_clamp=False, tukey_renorm=False), run(proto_scale="head_median", feat_norm="none"),
         run(alpha=0.0), run(alpha=1.0, neighbors=1)]
print(json.dumps({"made_with": "numpy " + np.__version__, "classes": K, "dim": d, "features": raw.ravel().tolist(), "labels": y.tolist(),
                  "meta_prototypes": protos.ravel().tolist(), "generated": (counts.max() - counts).tolist(), "cases": cases}))

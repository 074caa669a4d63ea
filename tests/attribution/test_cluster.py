import threading
import time

import pytest
import torch
from conftest import lightx, make_teacher
from test_store import IDS, contents

from lightx.runtime import InputError
from lightx.attribution import fill_store

ray = pytest.importorskip("ray")
CUT = dict(max_tokens=512, shard_texts=2)
CHOICES = dict(precision="float32", sharding=CUT, progress=False)


@pytest.fixture
def cluster():
    """Two nodes with one core each, beside a head that has none: what is killed is never the driver's own."""
    from ray.cluster_utils import Cluster
    made = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, include_dashboard=False))
    made.nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_cluster_that_loses_a_node_fills_the_same_store(tmp_path, cluster):
    from lightx.attribution import fill_store_on_ray
    teacher, threads = make_teacher(), torch.get_num_threads()
    torch.set_num_threads(1) # as a worker with one core has
    fill_store(teacher, IDS, tmp_path / "alone", **CHOICES)
    torch.set_num_threads(threads)
    killed = []

    def kill():
        """Take a node away as soon as the first shards have come in."""
        while len(list((tmp_path / "together").glob("*.safetensors"))) < 3:
            time.sleep(0.01)
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)
        killed.append(len(list((tmp_path / "together").glob("*.safetensors"))))

    killer = threading.Thread(target=kill)
    killer.start()
    fill_store_on_ray(teacher, IDS, tmp_path / "together", cores=1, **CHOICES)
    killer.join()
    assert killed[0] < len(contents(tmp_path / "alone")) - 1 # it was in the middle
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_the_runs_of_a_sweep_spread_over_a_cluster(tmp_path, cluster, corpus_folder, teacher_folder):
    from conftest import TINY

    from lightx.experiments import default_parameters, experiment_notebook, prepare, run_all
    chosen = default_parameters(experiment_notebook("alpha")) | TINY | dict(data=str(corpus_folder), teacher=str(teacher_folder))
    prepare(**{k: chosen[k] for k in ("data", "teacher", "n_per_class", "max_length", "unseen_texts")}, progress=False)
    runs = [chosen | dict(alpha=o, result=str(tmp_path / f"{o}.json")) for o in (0.0, 1.0)]
    run_all(runs, engine="ray")
    assert all((tmp_path / f"{o}.json").exists() for o in (0.0, 1.0))
    with pytest.raises(InputError, match="1 of 1 runs failed, the others are kept; the first: .*alpha is 2"):
        run_all([chosen | dict(alpha=2, result=str(tmp_path / "bad.json"))], engine="ray")


# Beside a cluster it would be found, so this stands where clusters are: a file's tests run one after another.
def test_without_a_cluster_the_remedy_is_named(tmp_path, corpus_folder, teacher_folder):
    run = lightx("attribute", "--data", corpus_folder, "--teacher", teacher_folder, "--out", tmp_path / "s", "--max-length", 16, "--engine", "ray")
    assert run.returncode == 2 and "ray start --head" in run.stderr and "Traceback" not in run.stderr
    assert not list(tmp_path.glob("s/*"))

"""``python -m selma_plugins.shapes.train vae|text|latents|decoder|encoder|judge|vqa|clip|teacher|base|small``."""

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from selma_plugins.shapes.train import clip, decoder, denoiser, encoder, judge, latents, teacher, text, vae, vqa
from selma_plugins.shapes.train.pipeline import assemble, export
from selma_plugins.shapes.train.team import Team

BASE = {"name": "shapes_base", "minutes": 72.0, "channels": (32, 64, 128)}
SMALL = {"name": "shapes_small", "minutes": 25.0, "channels": (16, 32, 64), "batch": 32}
PARTS = ("vae", "text", "latents", "decoder", "encoder", "judge", "vqa", "clip", "teacher", "base", "small")
# Options of the denoiser that the command line may set.
CHOSEN = ("leg", "peak", "hold", "phase", "noisy", "batch", "early", "power", "pairs", "singles", "layout")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="selma_plugins.shapes.train", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and logs")
    parser.add_argument("--out", type=Path, help="folder in which the model's folder is written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="budget of wall-clock time")
    parser.add_argument("--steps", type=int, help="budget in steps instead: repeatable")
    parser.add_argument("--leg", type=int, help="1, 2, ... train a finished model on for another budget")
    parser.add_argument("--peak", type=float, help="highest learning rate")
    parser.add_argument("--hold", type=float, help="where the rate begins to fall, 0 to 1")
    parser.add_argument("--phase", type=float, help="where the noisy captions begin, 0 to 1")
    parser.add_argument("--noisy", type=float, help="strength of the mistakes from there on")
    parser.add_argument("--early", type=float, help="share of samples at times of much noise")
    parser.add_argument("--power", type=float, help="of the weights over noise levels, 0 to 1")
    parser.add_argument("--pairs", type=float, help="share of samples from scenes of two objects")
    parser.add_argument("--singles", type=float, help="share of samples from scenes of one object")
    parser.add_argument("--layout", type=float, help="weight of the lesson in what is where")
    parser.add_argument("--shards", type=int, default=10, help="4096 scenes each")
    parser.add_argument(
        "--pictures", type=Path, nargs="*", help="folders of pictures that the base drew, for `encoder`"
    )
    parser.add_argument("--model", type=Path, help="folder of a finished model, for `vqa` and `clip`")
    parser.add_argument("--beside", action="store_true", help="begin with one shard; `latents` runs beside it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, help="samples a step of this process")
    parser.add_argument("--rank", type=int, default=0, help="of this process in its team")
    parser.add_argument("--team", type=int, default=1, help="processes that train together")
    parser.add_argument("--compile", action="store_true", dest="compiled")
    return parser.parse_args()


def main() -> None:
    """Train one part; what it needs and is not there yet is trained before it."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    given = {k: getattr(args, k) for k in ("minutes", "steps") if getattr(args, k) is not None}
    if args.part in ("vqa", "clip"):
        train_on_finished(args, given)
    elif args.part == "teacher":
        target = (args.out or args.work / "export") / "shapes_teacher"
        teacher.train(teacher.TeacherTraining(work=args.work, out=target, seed=args.seed, **given))
    else:
        train_world(args, given)


def train_on_finished(args: argparse.Namespace, given: dict[str, Any]) -> None:
    """Train the judge that answers questions, or the CLIP; they need a finished model and train none of its parts."""
    if args.model is None:
        raise SystemExit(f"{args.part}: give --model FOLDER, a finished model of the world")
    folder, shared = args.out or args.work / "export", {"work": args.work, "base": args.model, "seed": args.seed}
    if args.part == "vqa":
        vqa.train(vqa.VqaTraining(**shared, out=folder / "shapes_vqa", **given))
    else:
        clip.train(clip.ClipTraining(**shared, out=folder / "shapes_clip", **given))


def train_world(args: argparse.Namespace, given: dict[str, Any]) -> None:
    """Train a part of the models of the world, or what selects among their pictures."""
    shared = {"work": args.work, "seed": args.seed, "device": args.device}
    autoencoder = vae.train(vae.VaeOptions(**shared, **(given if args.part == "vae" else {})))
    if args.part == "vae":
        return
    reader, tokenizer = text.train(text.TextOptions(**shared, **(given if args.part == "text" else {})))
    if args.part == "text":
        return
    for number in range(1 if args.beside else args.shards):
        latents.encode_shard(autoencoder, args.work, number, args.device)
    if args.part == "latents":
        return
    if args.part == "decoder":
        decoder.train(decoder.DecoderOptions(**shared, **given, shards=args.shards))
        return
    if args.part == "encoder":
        folders = tuple(args.pictures or ())
        encoder.train(encoder.EncoderOptions(**shared, **given, shards=args.shards, pictures=folders))
        return
    if args.part == "judge":
        target = (args.out or args.work / "export") / "shapes_judge"
        task = judge.JudgeTraining(work=args.work, out=target, seed=args.seed, **given)
        judge.train(task, autoencoder.cpu(), reader.cpu(), tokenizer)
        return
    autoencoder = autoencoder.cpu()
    settings = {**shared, **(BASE if args.part == "base" else SMALL), **given}
    settings |= {k: getattr(args, k) for k in CHOSEN if getattr(args, k) is not None}
    settings |= {"shards": args.shards, "compiled": args.compiled, "team": Team(args.rank, args.team)}
    options = denoiser.DenoiserOptions(**settings)

    def publish(unet: UNet2DConditionModel) -> None:
        pipe = assemble(autoencoder, reader.cpu(), tokenizer, unet.cpu())
        export(pipe, (args.out or args.work / "export") / options.name)
        unet.to(args.device)
        reader.to(args.device)

    denoiser.train(options, reader, tokenizer, publish)


if __name__ == "__main__":
    main()
